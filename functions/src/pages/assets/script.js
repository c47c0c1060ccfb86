// The script of the pages. Each form calls an operation of the API at the same origin and shows the result.

const texts = JSON.parse(document.getElementById("texts").textContent);
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

// The user closed the dialog of a step-up.
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
    if (!error.keys?.includes("authz.reauthentication_required")) throw error;
  }
  const used = await stepUp();
  // The API accepts a code once.
  if (used && body?.code && plain(used) === plain(body.code)) throw new Refusal(422, ["next_code"]);
  return send(method, path, body);
}

const plain = (code) => code.normalize("NFKC").replace(/[\s\p{Dash}]/gu, "").toUpperCase();

// ---- Messages ----

const SAME = {
  "resource.password.doesnt_match": "identity.user.passwords_doesnt_match",
  "resource.otp.invalid": "identity.session.invalid_otp",
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
  if (key.startsWith("authz.")) return texts.authz;
  if (/\.(missing|empty)_/.test(key)) return texts.required;
  if (/\.too_long_/.test(key)) return texts.too_long;
  return texts.unavailable;
}

function say(text, isProblem, place = message) {
  place.textContent = text;
  place.className = isProblem ? "problem" : "";
  place.setAttribute("role", isProblem ? "alert" : "status");
  place.hidden = false;
  place.focus();
}

// The dialog has a message of its own, because the page behind it is inert.
const messageOf = (form) => one(form.id === "step-up" ? "step-up-message" : "message");

// Stores a message, by key, for the page that is opened next.
const NEXT_MESSAGE = "latchkey.next-message";
const sayNext = (key) => sessionStorage.setItem(NEXT_MESSAGE, key);
function sayStored() {
  const key = sessionStorage.getItem(NEXT_MESSAGE);
  sessionStorage.removeItem(NEXT_MESSAGE);
  if (key) say(words(key), key.includes("."));
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

// Opens the sign-in page, with the reason, if the API no longer accepts the session.
async function signedOut({ status, keys }) {
  const key = status === 401 && keys.find((key) => key.startsWith("authz."));
  if (!key) return false;
  // A browser that had no session needs no reason.
  if (csrf.get() || key !== "authz.invalid_session") sayNext(key);
  // Ends what the browser still presents. Otherwise live sessions of two users, which are refused
  // together, would also refuse the next sign-in.
  if (csrf.get()) await send("DELETE", "/identity/sessions").catch(() => {});
  csrf.forget();
  go("/accounts/sign_in");
  return true;
}

async function refused(form, error) {
  if (error instanceof Cancelled || await signedOut(error)) return;
  const keys = error instanceof Refusal ? error.keys : [];
  const shown = keys.length ? keys.map((key) => words(key, error.seconds)) : [texts.unavailable];
  // Chinese has no spaces between sentences.
  say([...new Set(shown)].join(language === "zh" ? "" : " "), true, messageOf(form));
  mark(form, keys);
}

// Handles the submission of a form. The form cannot be submitted again until the work has ended.
function on(id, work) {
  const form = one(id);
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.disabled) return;
    button.disabled = true;
    messageOf(form).hidden = true;
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

for (const box of document.querySelectorAll(".reveal")) {
  const reveal = (shown) => {
    for (const input of box.form.querySelectorAll('[autocomplete$="-password"]')) input.type = shown ? "text" : "password";
  };
  box.addEventListener("change", () => reveal(box.checked));
  box.form.addEventListener("reset", () => reveal(false));
}

// ---- Step-up ----

const dialog = one("step-up-dialog");

// Asks for the password, and for a code while the second factor is on. Returns the code.
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
    error.keys = error.keys?.map((key) => (key === "identity.session.invalid_params" ? "identity.user.invalid_password" : key));
    throw error;
  }
  dialog.close("done");
});
one("step-up-cancel")?.addEventListener("click", () => dialog.close());

// ---- Sign-in, sign-up, reset and confirmation ----

on("sign-in", async ({ email, password, otp_code }) => {
  try {
    await call("POST", "/identity/sessions", { email, password, otp_code, ...person() });
  } catch (error) {
    if (error.keys?.some((key) => key.endsWith("_otp"))) one("otp").hidden = false;
    throw error;
  }
  go("/accounts/settings");
});

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

// Replaces the form of a link that can no longer be used by the form that requests another.
function askForLink(error, form, request) {
  if (!error.keys?.some((key) => /^(jwt\.decode_and_verify|identity\.user\.utilized_token)$/.test(key))) return;
  one(form).hidden = true;
  one(request).hidden = false;
}

const reset_password_token = one("set-password") && token("reset_token");
if (reset_password_token) {
  one("ask-reset").hidden = true;
  one("set-password").hidden = false;
}
on("set-password", async (values, form) => {
  try {
    await call("POST", "/identity/users/password/confirm_code", { reset_password_token, lang: language, ...values });
  } catch (error) {
    askForLink(error, "set-password", "ask-reset");
    throw error;
  }
  form.hidden = true;
  say(texts.password_set);
});

const confirmation_token = one("confirm") && token("confirmation_token");
if (confirmation_token) {
  one("ask-confirmation").hidden = true;
  one("confirm").hidden = false;
}
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
    askForLink(error, "confirm", "ask-confirmation");
    // Without a session of the account, the API requires its password.
    if (!proof.hidden || !error.keys?.includes("identity.user.missing_password")) throw error;
    one("confirm-intro").hidden = true;
    proof.hidden = false;
    proof.querySelector("input").focus();
    return;
  }
  sayNext("confirmed");
  go(user.csrf_token ? "/accounts/settings" : "/accounts/sign_in");
});

// ---- The account ----

async function showAccount() {
  const user = await call("GET", "/resource/users/me");
  one("who").textContent = user.email;
  // For password managers.
  for (const input of document.querySelectorAll("input.username")) input.value = user.email;
  one("pending").hidden = user.state !== "pending";
  one("factor-begin").hidden = user.otp;
  one("factor-disable").hidden = !user.otp;
  one("recovery-replace").hidden = !user.otp;
  one("step-up-code").hidden = !user.otp;
  one("factor-enable").hidden = true;
  const when = new Intl.DateTimeFormat(tag, { dateStyle: "medium", timeStyle: "short" });
  const rows = (await call("GET", "/resource/sessions")).map((session) => {
    const row = document.createElement("li");
    const what = document.createElement("span");
    const used = `${texts.last_used} ${when.format(new Date(session.last_used_at))}`;
    what.textContent = [session.user_agent || "?", session.user_ip, used].join(" · ");
    row.append(what);
    if (session.current) {
      const mine = document.createElement("b");
      mine.textContent = texts.this_session;
      row.append(mine);
    } else {
      const end = document.createElement("button");
      end.className = "quiet";
      end.textContent = texts.end;
      end.setAttribute("aria-label", `${texts.end} · ${what.textContent}`);
      end.addEventListener("click", () => change("DELETE", `/resource/sessions/${session.id}`, undefined, "session_ended"));
      row.append(end);
    }
    return row;
  });
  one("sessions").replaceChildren(...rows);
  one("account").hidden = false;
}

async function change(method, path, body, done) {
  try {
    const answer = await call(method, path, body);
    await showAccount();
    say(texts[done]);
    return answer;
  } catch (error) {
    await refused(one("account"), error);
    return null;
  }
}

on("sign-out", async () => {
  try {
    await call("DELETE", "/identity/sessions");
  } catch (error) {
    // The session has ended already.
    if (!error.keys?.some((key) => /^identity\.session\.(missing_session|not_found)$/.test(key))) throw error;
  }
  csrf.forget();
  go("/accounts/sign_in");
});
on("end-others", () => change("DELETE", "/resource/sessions", undefined, "others_ended"));
on("change-password", async (values, form) => {
  await call("PUT", "/resource/users/password", values);
  form.reset();
  await showAccount();
  say(texts.password_set);
});
on("factor-begin", async () => {
  const { data } = await call("POST", "/resource/otp/generate_qrcode");
  one("barcode").src = `data:image/png;base64,${data.barcode}`;
  one("key").textContent = new URL(data.url).searchParams.get("secret");
  one("factor-begin").hidden = true;
  one("factor-enable").hidden = false;
  one("factor-enable").querySelector("input").focus();
});
on("factor-enable", async (values, form) => {
  const { recovery_codes } = await call("POST", "/resource/otp/enable", values);
  form.reset();
  showRecoveryCodes(recovery_codes);
  await showAccount();
  say(texts.factor_enabled);
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
  showRecoveryCodes(recovery_codes);
  say(texts.recovery_replaced);
});

function showRecoveryCodes(codes) {
  one("recovery-codes").replaceChildren(...codes.map((code) => {
    const row = document.createElement("li");
    row.textContent = code;
    return row;
  }));
  one("recovery").hidden = false;
}

one("recovery-copy")?.addEventListener("click", async () => {
  const codes = [...one("recovery-codes").children].map((row) => row.textContent);
  try {
    await navigator.clipboard.writeText(codes.join("\n"));
    say(texts.copied);
  } catch {
    // The browser does not allow it: selects the codes, to be copied by hand.
    getSelection().selectAllChildren(one("recovery-codes"));
  }
});
one("recovery-print")?.addEventListener("click", () => print());

if (document.body.dataset.page === "account") {
  try {
    await showAccount();
    sayStored();
  } catch (error) {
    await refused(one("account"), error);
  }
} else {
  sayStored();
}
