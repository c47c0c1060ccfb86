// The newest mail is at the top. The selection is kept when new mails arrive.

const REFRESH = 1500;
const at = (id) => document.getElementById(id);

let messages = [];
let selected = null;
let view = "html";
const read = new Set();

at("example").textContent =
  `curl ${location.origin}/identity/users -d email=ann@example.com -d password=Tr0ub4dor-Zebra`;

async function refresh() {
  try {
    const response = await fetch("/_local/mailbox.json");
    const latest = (await response.json()).messages.reverse();
    at("lost").hidden = true;
    const known = messages.map(({ id }) => id).join();
    if (latest.map(({ id }) => id).join() !== known || !known) {
      messages = latest;
      show();
    }
  } catch {
    at("lost").hidden = false;
  }
}

function show() {
  if (!messages.some(({ id }) => id === selected)) {
    selected = null;
    at("mailbox").classList.remove("reading");
  }
  // A wide screen shows a mail next to the list, so select the newest.
  if (!selected && messages.length && matchMedia("(min-width: 46.01rem)").matches) select(messages[0].id);
  const none = messages.length === 0;
  document.title = none ? "Mailbox · Latchkey" : `(${messages.length}) Mailbox · Latchkey`;
  at("count").textContent = messages.length;
  at("count").hidden = none;
  at("empty").disabled = none;
  at("nothing").hidden = !none;
  at("list").hidden = none;
  at("mail").hidden = !selected;
  at("list").replaceChildren(...messages.map(row));
}

function row(message) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.classList.toggle("unread", !read.has(message.id));
  button.dataset.id = message.id;
  if (message.id === selected) button.setAttribute("aria-current", "true");
  button.append(
    part("span", "to", recipients(message)),
    time(message.sent_at, { timeStyle: "short" }),
    part("span", "subject", message.subject),
  );
  button.addEventListener("click", () => {
    select(message.id);
    at("mailbox").classList.add("reading");
    show();
    at("list").querySelector("[aria-current]")?.focus();
  });
  item.append(button);
  return item;
}

// Mails to addresses of SES's mailbox simulator have an outcome: a bounce or a complaint.
function recipients({ to, fate }) {
  return to.join(", ") + (fate ? ` · ${fate}` : "");
}

function part(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function time(iso, form) {
  const element = part("time", "", new Date(iso).toLocaleString([], form));
  element.dateTime = iso;
  return element;
}

function select(id) {
  const message = messages.find((message) => message.id === id);
  selected = id;
  read.add(id);
  at("subject").textContent = message.subject;
  at("from").textContent = decoded(message.from);
  at("to").textContent = recipients(message);
  at("sent").replaceChildren(time(message.sent_at, { dateStyle: "medium", timeStyle: "medium" }));
  // Links in the mail open in a new tab.
  at("html").srcdoc = `<base target="_blank">${message.html}`;
  at("text").replaceChildren(...linked(message.text));
  at("show-html").disabled = !message.html;
  at("show-text").disabled = !message.text;
  choose(message.html ? view : "text");
}

// Decodes encoded words (RFC 2047) in a display name; white space between two of them is removed.
function decoded(address) {
  return address.replace(/\?=\s+=\?/g, "?==?").replace(/=\?utf-8\?b\?([^?]*)\?=/gi, (_, word) =>
    new TextDecoder().decode(Uint8Array.from(atob(word), (character) => character.charCodeAt(0))));
}

function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"]+)/).map((piece, index) => {
    if (index % 2 === 0) return piece;
    const link = document.createElement("a");
    link.href = link.textContent = piece;
    link.target = "_blank";
    link.rel = "noopener";
    return link;
  });
}

function choose(chosen) {
  for (const name of ["html", "text"]) {
    at(name).hidden = name !== chosen;
    at(`show-${name}`).setAttribute("aria-selected", String(name === chosen));
  }
}

for (const name of ["html", "text"]) {
  at(`show-${name}`).addEventListener("click", () => {
    view = name;
    choose(name);
  });
}

at("back").addEventListener("click", () => at("mailbox").classList.remove("reading"));

at("empty").addEventListener("click", async () => {
  await fetch("/_local/mailbox.json", { method: "DELETE" });
  await refresh();
});

async function watch() {
  if (!document.hidden) await refresh();
  setTimeout(watch, REFRESH);
}

document.addEventListener("visibilitychange", () => document.hidden || refresh());
watch();
