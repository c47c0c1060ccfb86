// The script of the pages. Each form calls an operation of the API at the same origin and shows the result.

const texts = JSON.parse(document.getElementById("texts").textContent);
const { hints, advice, devices } = texts;
const message = document.getElementById("message");
// The value of the parameter `lang`, and the tag of the language, such as `pt` and `pt-BR`.
const { language } = document.documentElement.dataset;
const tag = document.documentElement.lang;
const one = (id) => document.getElementById(id);

// ---- The API ----

// The CSRF token. The API returns it once, when a session begins.
const csrf = {
  get: () => localStorage.getItem("latchkey.csrf") ?? "",
  keep: (token) => token && localStorage.setItem("latchkey.csrf", token),
  forget: () => localStorage.removeItem("latchkey.csrf"),
};

// An error response.
class Refusal extends Error {
  constructor(status, keys, seconds) {
    super(keys.join(", "));
    Object.assign(this, { status, keys, seconds });
  }
}

// The user closed the dialog of a step-up, or another page opens.
class Cancelled extends Error {}

async function send(method, path, body) {
  const headers = {};
  if (body) headers["content-type"] = "application/json";
  if (method !== "GET" && path.startsWith("/resource/")) headers["x-csrf-token"] = csrf.get();
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), credentials: "same-origin" });
  const text = await answer.text();
  const content = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Refusal(answer.status, content?.errors ?? [], answer.headers.get("retry-after"));
  csrf.keep(content?.csrf_token);
  return content;
}

// Sends a request. If the API requires a recent authentication, authenticates the user again and repeats the request once.
async function call(method, path, body) {
  try {
    return await send(method, path, body);
  } catch (error) {
    if (!dialog || !error.keys?.includes("authz.reauthentication_required")) throw error;
  }
  const used = await stepUp();
  // The API accepts a code once.
  if (used && body?.code && plain(used) === plain(body.code)) throw new Refusal(422, ["next_code"]);
  return send(method, path, body);
}

const plain = (code) => code.normalize("NFKC").replace(/[\s\p{Dash}]/gu, "").toUpperCase();

// ---- Messages ----

// Sentences are not separated in Chinese.
const SPACE = language === "zh" ? "" : " ";

// The session that the request presents has ended, or it presents none.
const OVER = /^identity\.session\.(missing_session|not_found)$/;

const SAME = {
  "resource.password.doesnt_match": "identity.user.passwords_doesnt_match",
  "resource.otp.invalid": "identity.session.invalid_otp",
  "resource.user.invalid_password": "identity.user.invalid_password",
  "resource.user.missing_otp_code": "identity.session.missing_otp",
  "resource.user.empty_otp_code": "identity.session.missing_otp",
  "resource.user.invalid_otp": "identity.session.invalid_otp",
  "resource.user.email_not_confirmed": "resource.otp.email_not_confirmed",
  "resource.passkey.email_not_confirmed": "resource.otp.email_not_confirmed",
  "resource.passkey.taken": "passkey_exists",
  "authz.direct_access_denied": "unavailable",
};

// A wait as in "in 2 minutes", in the language of the page.
function when(seconds) {
  const [count, unit] =
    seconds < 90 ? [seconds, "second"]
    : seconds < 90 * 60 ? [Math.ceil(seconds / 60), "minute"]
    : [Math.ceil(seconds / 3600), "hour"];
  return new Intl.RelativeTimeFormat(tag).format(count, unit);
}

function words(key, seconds) {
  const known = texts[SAME[key] ?? key];
  if (known) return known.replace("{when}", () => when(Number(seconds ?? 60)));
  if (key.startsWith("authz.") || OVER.test(key)) return texts.authz;
  if (/\.(missing|empty)_/.test(key)) return texts.required;
  if (/\.too_long(_|$)/.test(key)) return texts.too_long;
  return texts.unavailable;
}

function say(text, isProblem, place = message) {
  place.textContent = text;
  place.className = isProblem ? "problem" : "";
  place.setAttribute("role", isProblem ? "alert" : "status");
  place.hidden = false;
  place.focus();
}

// Moves the message to the section that it is about: a problem above the button of the form,
// anything else below the heading.
function placeMessage(form, isProblem) {
  const section = form.closest("section");
  const button = isProblem && !form.hidden && form.querySelector("button:not([type])");
  if (section && button) button.before(message);
  else (section ?? document.querySelector(".card")).querySelector("h1, h2").after(message);
}

// The error with other keys, where an operation gives a key a meaning of its own.
function renamed(error, names) {
  error.keys = error.keys?.map((key) => names[key] ?? key);
  return error;
}

// A dialog has a message of its own, because the page behind it is inert.
const messageOf = (form) => form.closest("dialog")?.querySelector("p[role]") ?? message;

// Stores a message, by key, for the page that is opened next.
const NEXT_MESSAGE = "latchkey.next-message";
const sayNext = (key) => sessionStorage.setItem(NEXT_MESSAGE, key);
function sayStored() {
  const key = sessionStorage.getItem(NEXT_MESSAGE);
  sessionStorage.removeItem(NEXT_MESSAGE);
  if (!key) return;
  say(words(key), key.includes("."));
  // The confirmation link was replaced or used. Only the user knows which.
  if (key === "identity.user.utilized_token" && one("sign-in")) {
    const link = document.createElement("a");
    link.href = `confirmation?lang=${language}`;
    link.textContent = hints.new_link;
    message.append(" ", link);
  }
}

// Marks the fields that the keys name: most keys end with the name of a field.
function mark(form, keys) {
  const about = (input) => keys.some((key) =>
    key.endsWith("_" + input.name) || key.startsWith(input.name + ".") ||
    (input.type === "password" && key.startsWith("password.") && input.autocomplete === "new-password") ||
    (input.name === "old_password" && key.endsWith("prev_pass_not_correct")) ||
    (input.name.endsWith("code") && /otp/.test(key)));
  for (const input of form.querySelectorAll("input[name]")) {
    const wrong = about(input);
    input.setAttribute("aria-invalid", String(wrong));
    if (wrong) input.setAttribute("aria-errormessage", messageOf(form).id);
    else input.removeAttribute("aria-errormessage");
  }
  form.querySelector('[aria-invalid="true"]')?.focus();
}

// Opens the sign-in page, which says why, if the API no longer accepts the session or the request.
async function signedOut({ status, keys }) {
  const key = keys?.find((key) => key.startsWith("authz.") || OVER.test(key));
  if (!key || one("sign-in")) return false;
  // A browser that had no session needs no reason, and a page may have named one of its own.
  const hasReason = csrf.get() || key !== "authz.invalid_session";
  if (hasReason && !sessionStorage.getItem(NEXT_MESSAGE)) sayNext(key);
  // Ends what the browser still presents. Otherwise live sessions of two users, which are refused
  // together, would also refuse the next sign-in.
  if (status === 401 && (csrf.get() || key !== "authz.invalid_session")) await send("DELETE", "/identity/sessions").catch(() => {});
  csrf.forget();
  go("/accounts/sign_in");
  return true;
}

async function refused(form, error) {
  if (error instanceof Cancelled || await signedOut(error)) return;
  const keys = error instanceof Refusal ? error.keys : [];
  const shown = keys.length ? keys.map((key) => words(key, error.seconds)) : [texts.unavailable];
  placeMessage(form, true);
  // To ask for the code is the next step, not a problem.
  const asksForCode = keys.length > 0 && keys.every((key) => words(key) === words("identity.session.missing_otp"));
  say([...new Set(shown)].join(SPACE), !asksForCode, messageOf(form));
  mark(form, keys);
  if (asksForCode) form.querySelector('[aria-invalid="true"]')?.setAttribute("aria-invalid", "false");
}

// Handles the submission of a form. The form cannot be submitted again until the work has ended.
function on(id, work) {
  const form = one(id);
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button:not([type])");
    if (button.disabled) return;
    button.disabled = true;
    messageOf(form).hidden = true;
    placeMessage(form, false);
    const values = Object.fromEntries(new FormData(form));
    let cancelled = false;
    try {
      await work(values, form);
      mark(form, []);
    } catch (error) {
      await refused(form, error);
      captcha.reset();
      cancelled = error instanceof Cancelled;
    } finally {
      button.disabled = false;
      if (cancelled) button.focus();
    }
  });
}

const go = (path) => location.assign(`${path}?lang=${language}`);

// ---- Captcha ----

const captcha = {
  response: undefined,
  reset() {
    if (!this.api) return;
    this.api.reset(this.widget);
    this.response = undefined;
  },
  show(place) {
    const [source, name] = {
      recaptcha: ["https://www.google.com/recaptcha/api.js", "grecaptcha"],
      hcaptcha: ["https://hcaptcha.com/1/api.js", "hcaptcha"],
      turnstile: ["https://challenges.cloudflare.com/turnstile/v0/api.js", "turnstile"],
    }[place.dataset.provider];
    window.latchkeyCaptcha = () => {
      this.api = window[name];
      this.widget = this.api.render(place, { sitekey: place.dataset.key, callback: (response) => { this.response = response; } });
    };
    const script = document.createElement("script");
    script.src = `${source}?render=explicit&onload=latchkeyCaptcha`;
    document.head.append(script);
  },
};
document.querySelectorAll(".captcha").forEach((place) => captcha.show(place));
const person = () => (captcha.response ? { captcha_response: captcha.response } : {});

// ---- Links ----

// Removes a token from the address, so that neither the history nor the screen shows it.
const query = new URLSearchParams(location.search);
function token(name) {
  const value = query.get(name);
  if (!value) return null;
  for (const link of document.querySelectorAll(".languages a")) link.href += `&${name}=${encodeURIComponent(value)}`;
  history.replaceState(null, "", `${location.pathname}?lang=${language}`);
  return value;
}
for (const link of document.querySelectorAll("a.local")) link.search = `?lang=${language}`;

// For password managers. The address is in the token; only the API can verify it.
function showUsername(token) {
  try {
    const claims = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    const { user } = JSON.parse(new TextDecoder().decode(Uint8Array.from(claims, (byte) => byte.charCodeAt(0))));
    if (String(user).includes("@")) setUsername(user);
  } catch {
    // The token is not one of the API, which will reject it.
  }
}

function setUsername(address) {
  for (const input of document.querySelectorAll("input.username")) input.value = address;
}

const menu = one("languages");
document.addEventListener("click", (event) => {
  if (!menu.contains(event.target)) menu.open = false;
});
menu.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !menu.open) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// ---- Passwords ----

for (const button of document.querySelectorAll(".reveal")) {
  const input = button.parentElement.querySelector("input");
  const reveal = (shown) => {
    input.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  };
  button.addEventListener("click", () => reveal(input.type === "password"));
  input.form.addEventListener("reset", () => reveal(false));
  // Browsers store a password only from a field of this type.
  input.form.addEventListener("submit", () => reveal(false));
}

// Shows the strength of a new password, after a pause in typing.
for (const place of document.querySelectorAll(".strength")) {
  const input = document.querySelector(`input[aria-describedby="${place.querySelector("p").id}"]`);
  let pause;
  const show = async () => {
    const password = input.value;
    if (!password) return;
    const { score, warning, suggestions } = await send("POST", "/identity/password/validate", { password });
    if (input.value !== password) return;
    const found = [warning, ...suggestions].map((text) => advice[text]).filter(Boolean);
    const level = hints.strength + SPACE + hints.levels[score] + (found.length ? (SPACE ? "." : "。") : "");
    place.dataset.score = score;
    place.querySelector("p").textContent = [level, ...new Set(found)].join(SPACE);
    place.hidden = false;
  };
  const hide = () => { place.hidden = true; };
  input.addEventListener("input", () => {
    clearTimeout(pause);
    if (!input.value) hide();
    // Advice only: without it, the form still works.
    pause = setTimeout(() => show().catch(hide), 400);
  });
  input.form.addEventListener("reset", hide);
}

// ---- Passkeys ----

const supportsPasskeys = Boolean(window.PublicKeyCredential && navigator.credentials);

// What the API means by these keys if a request has a passkey.
const PASSKEY_KEYS = {
  "identity.session.invalid_params": "passkey_refused",
  "jwt.decode_and_verify": "passkey_expired",
  "identity.user.utilized_token": "passkey_expired",
};

const bytesOf = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (byte) => byte.charCodeAt(0));
const textOf = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

// The options of the API as the browser takes them. Browsers before 2025 cannot convert them.
function parsed(options, convert) {
  if (PublicKeyCredential[convert]) return PublicKeyCredential[convert](options);
  const withBytes = (credential) => ({ ...credential, id: bytesOf(credential.id) });
  const { user, excludeCredentials, allowCredentials } = options;
  return {
    ...options,
    challenge: bytesOf(options.challenge),
    ...(user && { user: withBytes(user) }),
    ...(excludeCredentials && { excludeCredentials: excludeCredentials.map(withBytes) }),
    ...(allowCredentials && { allowCredentials: allowCredentials.map(withBytes) }),
  };
}

// A credential as the API takes it. The credentials of some password managers cannot convert themselves.
function serialized(credential) {
  try {
    return credential.toJSON();
  } catch {
    const { id, rawId, type, authenticatorAttachment, response } = credential;
    const members = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]
      .filter((name) => response[name])
      .map((name) => [name, textOf(response[name])]);
    return {
      id, rawId: textOf(rawId), type, authenticatorAttachment,
      response: { ...Object.fromEntries(members), transports: response.getTransports?.() },
      clientExtensionResults: credential.getClientExtensionResults(),
    };
  }
}

// Why the browser returned no passkey. Browsers do not distinguish a cancellation from a time-out.
function browserRefusal(error) {
  if (/^(NotAllowed|Abort)Error$/.test(error.name)) return new Cancelled();
  if (error.name === "InvalidStateError") return new Refusal(0, ["passkey_exists"]);
  if (/^(Security|NotSupported)Error$/.test(error.name)) return new Refusal(0, ["passkey_unsupported"]);
  return error;
}

// Lets the user select one of their passkeys. Returns the parameters of the API that prove it.
async function askForPasskey(how) {
  const { publicKey, state } = await send("POST", "/identity/sessions/passkey/options");
  localStorage.setItem(RP_ID, publicKey.rpId);
  const options = parsed(publicKey, "parseRequestOptionsFromJSON");
  const credential = await navigator.credentials.get({ publicKey: options, ...how })
    .catch((error) => { throw browserRefusal(error); });
  return { credential: serialized(credential), state };
}

// Set once a passkey was used, added or offered in this browser.
const PASSKEY = "latchkey.passkey";
const rememberPasskey = () => localStorage.setItem(PASSKEY, "known");

// The domain of the passkeys, which the API names with options.
const RP_ID = "latchkey.rp-id";

// Reports to the password manager which passkeys the account has, so that it offers no removed one,
// and the address of the account.
function informPasswordManager({ uid, email }, passkeys) {
  const about = { rpId: localStorage.getItem(RP_ID), userId: textOf(new TextEncoder().encode(uid)) };
  if (!supportsPasskeys || !about.rpId) return;
  const ids = passkeys.map((passkey) => passkey.id);
  PublicKeyCredential.signalAllAcceptedCredentials?.({ ...about, allAcceptedCredentialIds: ids }).catch(() => {});
  PublicKeyCredential.signalCurrentUserDetails?.({ ...about, name: email, displayName: email }).catch(() => {});
}

// Creates a passkey and adds it to the account.
async function addPasskey(name) {
  const { publicKey, state } = await call("POST", "/resource/passkeys/options");
  localStorage.setItem(RP_ID, publicKey.rp.id);
  const options = parsed(publicKey, "parseCreationOptionsFromJSON");
  const created = await navigator.credentials.create({ publicKey: options })
    .catch((error) => { throw browserRefusal(error); });
  try {
    await call("POST", "/resource/passkeys", { credential: serialized(created), state, name });
  } catch (error) {
    // The password manager must not offer a passkey that the API does not have.
    if (error.keys?.some((key) => /^resource\.passkey\.(invalid_credential|limit)$/.test(key)))
      await PublicKeyCredential.signalUnknownCredential?.({ rpId: publicKey.rp.id, credentialId: created.id }).catch(() => {});
    throw renamed(error, PASSKEY_KEYS);
  }
  rememberPasskey();
}

// A name for a passkey of this browser.
function proposedName() {
  const device = deviceOf(navigator.userAgent);
  return device === hints.unknown_device ? "" : device;
}

// ---- Step-up ----

const dialog = one("step-up-dialog");

// Asks for the password, and for a code while the second factor is on, or for a passkey. Returns
// the code.
function stepUp() {
  one("step-up").reset();
  mark(one("step-up"), []);
  one("step-up-message").hidden = true;
  dialog.returnValue = "";
  return new Promise((resolve, reject) => {
    dialog.addEventListener("close", () => {
      if (dialog.returnValue) resolve(one("step-up").elements.otp_code.value);
      else reject(new Cancelled());
    }, { once: true });
    if (!dialog.open) dialog.showModal();
  });
}

on("step-up", async ({ password, otp_code }) => {
  const code = one("step-up-code").hidden ? {} : { otp_code };
  try {
    await send("POST", "/resource/sessions/current", { password, ...code });
  } catch (error) {
    if (error.keys?.some((key) => key.endsWith("_otp"))) one("step-up-code").hidden = false;
    // The dialog does not ask for an address.
    throw renamed(error, { "identity.session.invalid_params": "identity.user.invalid_password" });
  }
  dialog.close("done");
});
on("step-up-passkey", async () => {
  await send("POST", "/resource/sessions/current", await askForPasskey())
    .catch((error) => { throw renamed(error, PASSKEY_KEYS); });
  dialog.close("done");
});
one("step-up-cancel")?.addEventListener("click", () => dialog.close());

// ---- Sign-in, sign-up, reset and confirmation ----

// Where the token of a new address waits for a sign-in, in this tab.
const EMAIL_CHANGE = "latchkey.email-change";

const goOn = () => go(sessionStorage.getItem(EMAIL_CHANGE) ? "/accounts/email_change" : "/accounts/settings");

on("sign-in", async ({ email, password, otp_code, remember }) => {
  let user;
  try {
    user = await call("POST", "/identity/sessions", { email, password, otp_code, remember: Boolean(remember), ...person() });
  } catch (error) {
    if (error.keys?.some((key) => key.endsWith("_otp"))) one("otp").hidden = false;
    throw error;
  }
  if (remember && user.state === "active") await offerPasskey();
  goOn();
});

async function signInWithPasskey(passkey) {
  const remember = one("sign-in").elements.remember.checked;
  await send("POST", "/identity/sessions/passkey", { ...passkey, remember })
    .catch((error) => { throw renamed(error, PASSKEY_KEYS); });
  rememberPasskey();
  goOn();
}

on("passkey-sign-in", async () => {
  await autofill.stop();
  try {
    await signInWithPasskey(await askForPasskey());
  } catch (error) {
    if (error instanceof Cancelled) autofill.start();
    throw error;
  }
});

// Options expire after five minutes.
const FRESH = 4 * 60 * 1000;

const becomesVisible = () => new Promise((resolve) => {
  if (document.hidden) document.addEventListener("visibilitychange", resolve, { once: true });
  else resolve();
});

// The passkeys in the autofill of the address field. A browser has one request for passkeys at a time.
const autofill = {
  start() {
    this.stopped = false;
    // Without autofill, the form and the button still work.
    this.running = this.run().catch(() => {});
  },
  async stop() {
    this.stopped = true;
    this.request?.abort();
    await this.running;
  },
  async run() {
    if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
    for (let begun = 0; !this.stopped; ) {
      // A page in the background requests no new options.
      await becomesVisible();
      // A browser that refuses at once would do so again.
      if (this.stopped || Date.now() - begun < 1000) return;
      begun = Date.now();
      const passkey = await this.ask();
      if (!passkey) continue;
      try {
        await signInWithPasskey(passkey);
        return;
      } catch (error) {
        await refused(one("passkey-sign-in"), error);
        if (!error.keys?.includes("passkey_expired")) return;
      }
    }
  },
  // Returns `null` if the request was stopped, renewed or cancelled.
  async ask() {
    const request = new AbortController();
    this.request = request;
    const renewal = setTimeout(() => request.abort(), FRESH);
    try {
      return await askForPasskey({ mediation: "conditional", signal: request.signal });
    } catch (error) {
      if (error instanceof Cancelled) return null;
      // At an address for which the passkeys are not, the button could not find them either.
      if (error.keys?.includes("passkey_unsupported")) one("passkey-sign-in").hidden = true;
      throw error;
    } finally {
      clearTimeout(renewal);
    }
  },
};

// Whether this device can verify the user, by a fingerprint for example.
const canVerify = supportsPasskeys && PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable().catch(() => false);

const offerDialog = one("offer-dialog");

// Offers once, in each browser, to add a passkey on this device. Returns when the user has decided.
async function offerPasskey() {
  const late = new Promise((resolve) => { setTimeout(resolve, 500, false); });
  if (localStorage.getItem(PASSKEY) || sessionStorage.getItem(EMAIL_CHANGE) || !(await Promise.race([canVerify, late]))) return;
  await autofill.stop();
  rememberPasskey();
  offerDialog.showModal();
  await new Promise((resolve) => { offerDialog.addEventListener("close", resolve, { once: true }); });
}

on("offer", async () => {
  await addPasskey(proposedName());
  sayNext("passkey_added");
  offerDialog.close();
});
one("offer-cancel")?.addEventListener("click", () => offerDialog.close());

on("sign-up", async ({ email, password }) => {
  await call("POST", "/identity/users", { email, password, lang: language, data: JSON.stringify({ language }), ...person() });
  sayNext("signed_up");
  go("/accounts/settings");
});

on("ask-reset", async ({ email }) => {
  await call("POST", "/identity/users/password/generate_code", { email, lang: language, ...person() });
  say(texts.mail_sent);
});

on("ask-confirmation", async ({ email }) => {
  await call("POST", "/identity/users/email/generate_code", { email, lang: language, ...person() });
  say(texts.confirmation_sent);
});

// The link of a mail is of no use any more.
const DEAD = /^(jwt\.decode_and_verify|identity\.user\.utilized_token|record\.not_found)$/;

const reset_password_token = one("set-password") && token("reset_token");
if (reset_password_token) {
  showUsername(reset_password_token);
  one("set-password").elements.password.focus();
}
on("set-password", async (values) => {
  try {
    await call("POST", "/identity/users/password/confirm_code", { reset_password_token, lang: language, ...values });
  } catch (error) {
    const dead = error.keys?.find((key) => DEAD.test(key));
    if (!dead) throw error;
    // The page without the token has the form that requests a new link.
    sayNext(dead);
    go("/accounts/password_reset");
    return;
  }
  sayNext("password_set");
  go("/accounts/sign_in");
});

const confirmation_token = one("confirm") && token("confirmation_token");
if (confirmation_token) showUsername(confirmation_token);
on("confirm", async ({ password }) => {
  const proof = one("confirm-proof");
  const body = { token: confirmation_token, lang: language, ...(proof.hidden ? {} : { password }) };
  let user;
  try {
    user = await call("POST", "/identity/users/email/confirm_code", body);
  } catch (error) {
    // After a second click on the link there is nothing left to confirm.
    const over = error.keys?.find((key) => /^identity\.user\.(utilized_token|active_or_doesnt_exist)$/.test(key));
    if (over) {
      sayNext(over);
      go("/accounts/sign_in");
      return;
    }
    const dead = error.keys?.find((key) => DEAD.test(key));
    if (dead) {
      sayNext(dead);
      go("/accounts/confirmation");
      return;
    }
    // Without a session of the account, the API requires its password.
    if (!proof.hidden || !error.keys?.includes("identity.user.missing_password")) throw error;
    one("confirm-intro").hidden = true;
    proof.hidden = false;
    one("confirm").elements.password.focus();
    return;
  }
  sayNext("confirmed");
  go(user.csrf_token ? "/accounts/settings" : "/accounts/sign_in");
});

// ---- A new address ----

const email_change_token = one("confirm-email") && (token("token") ?? sessionStorage.getItem(EMAIL_CHANGE));

// Only the signed-in owner of the account can confirm the change. Others sign in and come back.
async function signsInFirst(error) {
  if (!error.keys?.some((key) => key.startsWith("authz."))) return;
  sessionStorage.setItem(EMAIL_CHANGE, email_change_token);
  sayNext("email_change_sign_in");
}

async function openEmailChange() {
  if (!email_change_token) {
    sayNext("email_change.invalid");
    go("/accounts/settings");
    throw new Cancelled();
  }
  one("retry").hidden = true;
  try {
    one("who").textContent = (await call("GET", "/resource/users/me")).email;
  } catch (error) {
    await signsInFirst(error);
    one("retry").hidden = false;
    throw error;
  }
  one("confirm-email").hidden = false;
}

on("confirm-email", async () => {
  let done = "email_changed";
  try {
    await call("POST", "/resource/users/email/confirm", { token: email_change_token });
  } catch (error) {
    await signsInFirst(error);
    const dead = error.keys?.find((key) => DEAD.test(key));
    if (!dead) throw error;
    done = dead === "jwt.decode_and_verify" ? "email_change.invalid" : dead;
  }
  sessionStorage.removeItem(EMAIL_CHANGE);
  sayNext(done);
  go("/accounts/settings");
});

// ---- The account ----

async function showAccount() {
  const user = await call("GET", "/resource/users/me");
  one("who").textContent = user.email;
  setUsername(user.email);
  one("pending").hidden = user.state !== "pending";
  one("email-section").hidden = user.state === "pending";
  one("change-email-code").hidden = !user.otp;
  one("factor-begin").hidden = user.otp;
  one("factor-disable").hidden = !user.otp;
  one("recovery-replace").hidden = !user.otp;
  one("step-up-code").hidden = !user.otp;
  one("close-code").hidden = !user.otp;
  one("factor-enable").hidden = true;
  showLanguage(user.data);
  const [sessions, passkeys] = await Promise.all([call("GET", "/resource/sessions"), call("GET", "/resource/passkeys")]);
  one("sessions").replaceChildren(...sessions.map(row));
  showPasskeys(passkeys, user.state === "pending");
  informPasswordManager(user, passkeys);
  const others = sessions.some((session) => !session.current);
  one("end-others").hidden = !others;
  one("no-others").hidden = others;
  one("retry").hidden = true;
  one("account").hidden = false;
}

// The data of a user as an object; `null` if it is another value, which has no member `language`.
// The numbers of other front ends keep their digits, where the browser can do that.
function dataOf(text) {
  const exact = (_, value, { source } = {}) => (typeof value === "number" && source && JSON.rawJSON ? JSON.rawJSON(source) : value);
  const data = text ? JSON.parse(text, exact) : {};
  return data && typeof data === "object" && !Array.isArray(data) ? data : null;
}

// Selects the language of mails, else that of the page.
function showLanguage(text) {
  const data = dataOf(text);
  const select = one("change-language").elements.language;
  const stored = String(data?.language ?? "").trim().toLowerCase().split(/[-_]/)[0];
  const known = [...select.options].some((option) => option.value === stored);
  select.value = known ? stored : language;
  one("language").hidden = !data;
}

// An element with a text.
function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

// A session: its device, its last use and its address, and the button that ends it.
function row(session) {
  const row = document.createElement("li");
  const device = deviceOf(session.user_agent ?? "");
  const name = element("b", device);
  name.title = session.user_agent ?? "";
  const what = element("span", "", "what");
  what.append(name);
  const place = element("small", "");
  if (session.current) {
    what.append(" ", element("span", texts.this_session, "badge"));
    place.append(session.user_ip);
  } else {
    place.append(`${texts.last_used} `, timeOf(session.last_used_at), ` · ${session.user_ip}`);
  }
  what.append(place);
  row.append(what);
  if (!session.current) {
    const end = () => change("DELETE", `/resource/sessions/${session.id}`, undefined, "session_ended");
    row.append(rowButton(texts.end, `${device}, ${place.textContent}`, end));
  }
  return row;
}

// A button of a row, which names the row to screen readers.
function rowButton(label, rowName, work) {
  const button = element("button", label, "quiet small");
  button.type = "button";
  button.setAttribute("aria-label", `${label}: ${rowName}`);
  button.addEventListener("click", work);
  return button;
}

// A time of the API.
function timeOf(text) {
  const when = new Date(text);
  const time = element("time", ago(when));
  time.dateTime = text;
  time.title = when.toLocaleString(tag);
  return time;
}

function showPasskeys(passkeys, isPending) {
  one("passkeys").replaceChildren(...passkeys.map(passkeyRow));
  one("no-passkeys").hidden = passkeys.length > 0 || isPending || !supportsPasskeys;
  one("passkeys-pending").hidden = !isPending;
  one("passkeys-unsupported").hidden = isPending || supportsPasskeys;
  one("passkey-add").hidden = isPending || !supportsPasskeys;
  one("passkey-add").elements.name.value ||= proposedName();
  one("step-up-passkey").hidden = passkeys.length === 0 || !supportsPasskeys;
}

const passkeyName = ({ name, created_at }) =>
  name ?? `${texts.passkey} · ${new Date(created_at).toLocaleDateString(tag, { dateStyle: "medium" })}`;

// A passkey: its name, where it is stored, its times, and the buttons that rename and remove it.
function passkeyRow(passkey) {
  const row = document.createElement("li");
  const name = passkeyName(passkey);
  const what = element("span", "", "what");
  what.append(element("b", name), " ");
  what.append(passkey.backed_up ? element("span", texts.passkey_synced, "badge") : element("span", texts.passkey_on_one_device, "badge quiet"));
  const times = element("small", "");
  times.append(texts.passkey_created + SPACE, timeOf(passkey.created_at), " · ");
  if (passkey.last_used_at) times.append(texts.passkey_last_used + SPACE, timeOf(passkey.last_used_at));
  else times.append(texts.passkey_unused);
  what.append(times);
  const buttons = element("span", "", "buttons");
  buttons.append(
    rowButton(texts.rename, name, () => openPasskey("rename", passkey)),
    rowButton(texts.remove, name, () => openPasskey("remove", passkey)),
  );
  row.append(what, buttons);
  return row;
}

// The passkey that is renamed or removed.
let selected;

function openPasskey(action, passkey) {
  selected = passkey;
  one("remove-name").textContent = passkeyName(passkey);
  one("rename").elements.name.value = passkey.name ?? "";
  one("rename-message").hidden = true;
  mark(one("rename"), []);
  one(`${action}-dialog`).showModal();
}

// "Chrome on Windows". The tables are those of the API.
function deviceOf(agent) {
  const find = (table) => table.find(([text]) => agent.includes(text))?.[1];
  const browser = find(devices.browsers);
  const system = find(devices.systems);
  if (browser && system) return hints.device.replace("{browser}", browser).replace("{system}", system);
  return browser ?? system ?? hints.unknown_device;
}

// A time as in "5 minutes ago"; after a week, its date.
function ago(time) {
  const minutes = Math.max(1, Math.round((Date.now() - time) / 60000));
  const format = (count, unit) => new Intl.RelativeTimeFormat(tag).format(-count, unit);
  if (minutes < 60) return format(minutes, "minute");
  if (minutes < 24 * 60) return format(Math.round(minutes / 60), "hour");
  if (minutes < 7 * 24 * 60) return format(Math.round(minutes / 60 / 24), "day");
  return time.toLocaleDateString(tag, { dateStyle: "medium" });
}

async function change(method, path, body, done, place = one("sessions")) {
  try {
    const answer = await call(method, path, body);
    await showAccount();
    placeMessage(place, false);
    say(texts[done]);
    return answer;
  } catch (error) {
    await refused(place, error);
    return null;
  }
}

on("sign-out", async () => {
  try {
    await call("DELETE", "/identity/sessions");
  } catch (error) {
    // The session has ended already.
    if (!error.keys?.some((key) => OVER.test(key))) throw error;
  }
  csrf.forget();
  go("/accounts/sign_in");
});
on("change-language", async ({ language: chosen }) => {
  const { data } = await call("GET", "/resource/users/me");
  await call("PUT", "/resource/users/me", { data: JSON.stringify({ ...dataOf(data), language: chosen }) });
  sayNext("language_saved");
  location.assign(`/accounts/settings?lang=${chosen}`);
});
on("end-others", () => change("DELETE", "/resource/sessions", undefined, "others_ended"));
on("change-password", async (values, form) => {
  await call("PUT", "/resource/users/password", values);
  form.reset();
  await showAccount();
  say(texts.password_set);
});
on("change-email", async ({ email, password, otp_code }, form) => {
  const code = one("change-email-code").hidden ? {} : { otp_code };
  await call("POST", "/resource/users/email", { email, password, lang: language, ...code });
  form.reset();
  say(texts.email_change_sent);
});
on("passkey-add", async ({ name }, form) => {
  await addPasskey(name.trim());
  form.reset();
  await showAccount();
  say(texts.passkey_added);
});
on("rename", async ({ name }) => {
  await call("PATCH", `/resource/passkeys/${selected.id}`, { name });
  await showAccount();
  one("rename-dialog").close();
  placeMessage(one("passkeys"), false);
  say(texts.passkey_renamed);
});
on("remove", async () => {
  one("remove-dialog").close();
  await change("DELETE", `/resource/passkeys/${selected.id}`, undefined, "passkey_removed", one("passkeys"));
});
for (const action of ["rename", "remove"]) {
  one(`${action}-cancel`)?.addEventListener("click", () => one(`${action}-dialog`).close());
}
on("factor-begin", async () => {
  const { data } = await call("POST", "/resource/otp/generate_qrcode");
  one("barcode").src = `data:image/png;base64,${data.barcode}`;
  one("key").textContent = new URL(data.url).searchParams.get("secret");
  one("factor-begin").hidden = true;
  one("factor-enable").hidden = false;
  one("factor-enable").elements.code.focus();
});
on("factor-enable", async (values, form) => {
  const { recovery_codes } = await call("POST", "/resource/otp/enable", values);
  form.reset();
  await showAccount();
  say(texts.factor_enabled);
  showRecoveryCodes(recovery_codes);
});
on("factor-disable", async (values, form) => {
  await call("POST", "/resource/otp/disable", values);
  form.reset();
  one("recovery").hidden = true;
  await showAccount();
  say(texts.factor_disabled);
});
on("recovery-replace", async (values, form) => {
  const { recovery_codes } = await call("POST", "/resource/otp/recovery_codes", values);
  form.reset();
  say(texts.recovery_replaced);
  showRecoveryCodes(recovery_codes);
});

on("export", async () => {
  const data = await call("GET", "/resource/users/me/export");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2)], { type: "application/json" }));
  link.download = `${data.account.uid}.json`;
  link.click();
  // The browser reads the file after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(texts.exported);
});

const closeDialog = one("close-dialog");
one("close-begin")?.addEventListener("click", () => {
  one("close").reset();
  mark(one("close"), []);
  one("close-message").hidden = true;
  closeDialog.showModal();
});
one("close-cancel")?.addEventListener("click", () => closeDialog.close());
on("close", async ({ password, otp_code }) => {
  const code = one("close-code").hidden ? {} : { otp_code };
  try {
    await call("DELETE", "/resource/users/me", { password, ...code });
  } catch (error) {
    if (error.keys?.some((key) => /_otp(_code)?$/.test(key))) one("close-code").hidden = false;
    throw error;
  }
  csrf.forget();
  sayNext("closed");
  go("/accounts/sign_in");
});

function showRecoveryCodes(codes) {
  one("recovery-codes").replaceChildren(...codes.map((code) => {
    const row = document.createElement("li");
    row.textContent = code;
    return row;
  }));
  one("recovery").hidden = false;
  one("recovery").scrollIntoView({ block: "nearest" });
}

one("recovery-copy")?.addEventListener("click", async () => {
  const codes = [...one("recovery-codes").children].map((row) => row.textContent);
  try {
    await navigator.clipboard.writeText(codes.join("\n"));
    one("recovery-copy").parentNode.after(message);
    say(texts.copied);
  } catch {
    // The browser does not allow it: selects the codes, to be copied by hand.
    getSelection().selectAllChildren(one("recovery-codes"));
  }
});
one("recovery-print")?.addEventListener("click", () => print());

async function openAccount() {
  try {
    await showAccount();
  } catch (error) {
    one("retry").hidden = false;
    throw error;
  }
}
const openPage = { account: openAccount, email_change: openEmailChange }[document.body.dataset.page];
on("retry", openPage);

if (one("sign-in") && supportsPasskeys) {
  one("passkey-sign-in").hidden = false;
  autofill.start();
}

if (openPage) {
  try {
    await openPage();
    sayStored();
  } catch (error) {
    await refused(one("retry"), error);
  }
} else {
  sayStored();
}
