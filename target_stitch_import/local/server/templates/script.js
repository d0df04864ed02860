// Brings the live part of the page up to date; the page works without it, as it was served.
"use strict";
const live = document.getElementById("live");

async function refresh() {
  if (!document.hidden && !String(window.getSelection())) {
    try {
      const answer = await fetch(live.dataset.refresh, { cache: "no-store" });
      if (answer.ok) {
        const text = await answer.text();
        if (text !== refresh.last) {
          const places = [...live.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
          live.innerHTML = refresh.last = text;
          live.querySelectorAll(".scroll").forEach((each, at) => { each.scrollLeft = places[at] || 0; });
        }
      }
      document.body.classList.toggle("away", !answer.ok);
    } catch {
      document.body.classList.add("away");
    }
  }
  window.setTimeout(refresh, 1500);
}

window.setTimeout(refresh, 1500);
