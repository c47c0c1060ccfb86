// The pages' one script. Each form calls an operation of the API, at the same origin, and says what came of it.

const texts = JSON.parse(document.getElementById("texts").textContent);
const message = document.getElementById("message");
const language = document.documentElement.lang;
const one = (id) => document.getElementById(id);

// ---- The API ----

// What proves to the API that a request is this page's. It is told once, when a session is opened.
const csrf = {
  get: () => localStorage.getItem("latchkey.csrf") ?? "",
  keep: (token) => token && localStorage.setItem("latchkey.csrf", token),
  forget: () => localStorage.removeItem("latchkey.csrf"),
};

// An answer that is no success.
class Refusal extends Error {
  constructor(status, keys, seconds) {
    super(keys.join(", "));
    Object.assign(this, { status, keys, seconds });
  }
}

async function call(method, path, body) {
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

// ---- What is said ----

const SAME = {
  "resource.password.doesnt_match": "identity.user.passwords_doesnt_match",
  "resource.otp.invalid": "identity.session.invalid_otp",
};

function words(key, seconds) {
  const known = texts[SAME[key] ?? key];
  if (known) return known.replace("{seconds}", seconds ?? "60");
  if (/\.(missing|empty)_/.test(key)) return texts.required;
  if (/\.too_long_/.test(key)) return texts.too_long;
  if (key.startsWith("authz.")) return texts.authz;
  return texts.unavailable;
}

function say(text, isProblem) {
  message.textContent = text;
  message.className = isProblem ? "problem" : "";
  message.setAttribute("role", isProblem ? "alert" : "status");
  message.hidden = false;
  message.focus();
}

// Marks the fields that the keys are about: their names are the ends of the keys, or nearly so.
function mark(form, keys) {
  const about = (input) => keys.some((key) =>
    key.endsWith("_" + input.name) || key.startsWith(input.name + ".") ||
    (input.type === "password" && key.startsWith("password.") && input.autocomplete === "new-password") ||
    (input.name === "old_password" && key.endsWith("prev_pass_not_correct")) ||
    (input.name.endsWith("code") && /otp/.test(key)));
  for (const input of form.querySelectorAll("input[name]")) {
    const wrong = about(input);
    input.setAttribute("aria-invalid", String(wrong));
    if (wrong) input.setAttribute("aria-errormessage", "message");
    else input.removeAttribute("aria-errormessage");
  }
  form.querySelector('[aria-invalid="true"]')?.focus();
}

function refused(form, error) {
  const keys = error instanceof Refusal ? error.keys : [];
  const told = keys.length ? keys.map((key) => words(key, error.seconds)) : [texts.unavailable];
  say([...new Set(told)].join(" "), true);
  mark(form, keys);
}

// Has a form do something. While it does, it cannot be sent again.
function on(id, work) {
  const form = one(id);
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.disabled) return;
    button.disabled = true;
    message.hidden = true;
    const values = Object.fromEntries(new FormData(form));
    try {
      await work(values, form);
      mark(form, []);
    } catch (error) {
      refused(form, error);
      captcha.reset();
      if (error.status === 401 && error.keys[0]?.startsWith("authz.")) csrf.forget();
    } finally {
      button.disabled = false;
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

// A token is taken out of the address, so that it is in no history and on no screen.
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
  box.addEventListener("change", () => {
    for (const input of box.form.querySelectorAll('[autocomplete$="-password"]')) input.type = box.checked ? "text" : "password";
  });
}

// ---- Signing in and up, by mail too ----

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
  sessionStorage.setItem("latchkey.told", "signed_up");
  go("/accounts/settings");
});

on("ask-reset", async ({ email }) => {
  await call("POST", "/identity/users/password/generate_code", { email, lang: language, ...person() });
  say(texts.mail_sent);
});

on("ask-confirmation", async ({ email }) => {
  await call("POST", "/identity/users/email/generate_code", { email, lang: language, ...person() });
  say(texts.mail_sent);
});

const reset_password_token = one("set-password") && token("reset_token");
if (reset_password_token) {
  one("ask-reset").hidden = true;
  one("set-password").hidden = false;
}
on("set-password", async (values, form) => {
  await call("POST", "/identity/users/password/confirm_code", { reset_password_token, lang: language, ...values });
  form.hidden = true;
  say(texts.password_set);
});

const confirmation_token = one("confirm") && token("confirmation_token");
if (confirmation_token) {
  one("ask-confirmation").hidden = true;
  one("confirm").hidden = false;
}
on("confirm", async (values, form) => {
  await call("POST", "/identity/users/email/confirm_code", { token: confirmation_token, lang: language });
  form.hidden = true;
  say(texts.confirmed);
});

// ---- The account ----

async function showAccount() {
  const user = await call("GET", "/resource/users/me");
  one("who").textContent = user.email;
  // For password managers.
  one("username").value = user.email;
  one("pending").hidden = user.state !== "pending";
  one("factor-begin").hidden = user.otp;
  one("factor-disable").hidden = !user.otp;
  one("factor-enable").hidden = true;
  const when = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  const rows = (await call("GET", "/resource/sessions")).map((session) => {
    const row = document.createElement("li");
    const what = document.createElement("span");
    what.textContent = `${session.user_agent || "?"}, ${session.user_ip}; ${texts.last_used} ${when.format(new Date(session.last_used_at))}`;
    row.append(what);
    if (session.current) {
      const mine = document.createElement("b");
      mine.textContent = texts.this_session;
      row.append(mine);
    } else {
      const end = document.createElement("button");
      end.className = "quiet";
      end.textContent = texts.end;
      end.setAttribute("aria-label", `${texts.end}: ${what.textContent}`);
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
    refused(one("account"), error);
    return null;
  }
}

on("sign-out", async () => {
  await call("DELETE", "/identity/sessions");
  csrf.forget();
  go("/accounts/sign_in");
});
on("end-others", () => change("DELETE", "/resource/sessions", undefined, "session_ended"));
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
  one("recovery-codes").replaceChildren(...recovery_codes.map((code) => {
    const row = document.createElement("li");
    row.textContent = code;
    return row;
  }));
  one("recovery").hidden = false;
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

// Shows a message that the previous page left.
function tell() {
  const told = sessionStorage.getItem("latchkey.told");
  sessionStorage.removeItem("latchkey.told");
  if (told) say(texts[told]);
}

// Ends what the browser still presents. Otherwise live sessions of two users, which are refused
// together, would also refuse the next sign-in.
async function signInAgain() {
  if (csrf.get()) {
    await call("DELETE", "/identity/sessions").catch(() => {});
    csrf.forget();
    sessionStorage.setItem("latchkey.told", "authz");
  }
  go("/accounts/sign_in");
}

if (document.body.dataset.page === "sign_in") tell();
if (document.body.dataset.page === "account") {
  try {
    await showAccount();
    tell();
  } catch (error) {
    if (error.status === 401) await signInAgain();
    else say(texts.unavailable, true);
  }
}
