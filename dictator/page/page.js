// Refreshes the page every two seconds while it is looked at. Without it, the page reloads itself.
"use strict";

async function refresh() {
  if (document.hidden) return;
  const main = document.getElementById("main");
  try {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("main");
    for (const open of main.querySelectorAll("details[open]")) {
      fresh.querySelector(`details[id="${open.id}"]`)?.setAttribute("open", "");
    }
    // what hasn't changed stays, so that a selection or a screen reader's place isn't lost
    if (fresh.innerHTML !== main.innerHTML) main.innerHTML = fresh.innerHTML;
    document.title = page.title;
  } catch {
    document.getElementById("stale").hidden = false;
  }
}

setInterval(refresh, 2000);
