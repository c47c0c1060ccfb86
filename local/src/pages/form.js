// Sends the form to the API and says in words what it answers. What the link carries is put into the inputs that name it.

const at = (id) => document.getElementById(id);
const form = at("form");
const link = new URLSearchParams(location.search);

const WORDS = {
  "identity.user.missing_pass_token": "The link is incomplete: it carries no token. Open it from the mail again.",
  "identity.user.empty_reset_password_token": "The link is incomplete: its token is empty. Open it from the mail again.",
  "identity.user.missing_token": "The link is incomplete: it carries no token. Open it from the mail again.",
  "identity.user.empty_token": "The link is incomplete: its token is empty. Open it from the mail again.",
  "jwt.decode_and_verify": "The link is not valid, or it has expired. Ask for a new one.",
  "identity.user.utilized_token": "The link was used already, or a newer one was sent. Ask for a new one.",
  "identity.user.active_or_doesnt_exist": "The address is confirmed already, or the account does not exist.",
  "record.not_found": "The account does not exist any more.",
  "identity.user.missing_password": "Type a password.",
  "identity.user.empty_password": "The password is empty.",
  "identity.user.missing_confirm_password": "Type the password a second time.",
  "identity.user.empty_confirm_password": "Type the password a second time.",
  "identity.user.passwords_doesnt_match": "The two passwords differ.",
  "identity.user.too_long_password": "The password is too long.",
  "identity.user.too_long_confirm_password": "The password is too long.",
  "password.requirements": "The password does not meet the requirements.",
  "password.weak": "The password is too easy to guess.",
};

for (const input of form.querySelectorAll("[data-from]")) {
  input.disabled = !link.has(input.dataset.from);
  input.value = link.get(input.dataset.from) ?? "";
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = new URLSearchParams(new FormData(form));
  at("submit").disabled = true;
  at("refused").hidden = true;
  try {
    const response = await fetch(form.action, { method: "POST", body });
    if (response.ok) {
      form.hidden = true;
      at("done").hidden = false;
    } else {
      refuse(await response.json());
    }
  } catch {
    refuse({ message: "The stack does not answer." });
  }
  at("submit").disabled = false;
});

function refuse({ errors = [], message = "That did not work." }) {
  at("refused").textContent = errors.map((key) => WORDS[key] ?? key).join(" ") || message;
  at("refused").hidden = false;
}
