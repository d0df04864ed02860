// Refreshes the live parts of a page: fetches the page again and replaces them. Without this script
// everything works, but stays as it was served.
"use strict";
const PAUSE = 1500;
const AWAY = "The server does not respond: this page may be out of date.";
let waiting;
let asked = 0;

function focused(part) {
  const active = document.activeElement;
  if (!part.contains(active)) return null;
  return active.id ? `#${CSS.escape(active.id)}`
    : active.getAttribute("href") ? `a[href="${CSS.escape(active.getAttribute("href"))}"]`
    : active.classList.contains("scroll") ? ".scroll" : null;
}

function renew(part, fresh) {
  if (!fresh || part.innerHTML === fresh.innerHTML) return;
  const places = [...part.querySelectorAll(".scroll")].map((each) => [each.scrollLeft, each.scrollTop]);
  const again = focused(part);
  part.replaceChildren(...fresh.childNodes);
  part.querySelectorAll(".scroll").forEach((each, at) => each.scrollTo(...(places[at] || [0, 0])));
  if (again) part.querySelector(again)?.focus({ preventScroll: true });
}

async function refresh() {
  window.clearTimeout(waiting);
  const mine = ++asked;
  let away = false;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== asked) return;
    away = !answer.ok;
    if (answer.ok) document.querySelectorAll("[data-live]").forEach((part) => renew(part, fresh.getElementById(part.id)));
  } catch {
    away = true;
  }
  if (mine !== asked) return;
  document.getElementById("away").textContent = away ? AWAY : "";
  document.body.classList.toggle("away", away);
  plan();
}

function plan() {
  waiting = window.setTimeout(() => {
    // Nothing is replaced while the user selects text, or while the page is hidden.
    if (document.hidden || String(window.getSelection())) plan();
    else refresh();
  }, PAUSE);
}

function show(address) {
  history.replaceState(null, "", address);
  refresh();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-view]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const address = new URL(link.href);
  for (const name of ["sort", "show"]) {
    const hidden = document.querySelector(`.search input[name="${name}"]`);
    if (hidden) hidden.value = address.searchParams.get(name) || "";
  }
  show(address);
});

document.addEventListener("input", (event) => {
  if (event.target.id !== "q") return;
  const address = new URL(location.href);
  if (event.target.value) address.searchParams.set("q", event.target.value);
  else address.searchParams.delete("q");
  show(address);
});

if (document.querySelector("[data-live]")) plan();
