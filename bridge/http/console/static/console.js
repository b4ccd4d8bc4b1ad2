// Pauses the refresh, and says when a page is no longer up to date. The pages work without this file.
"use strict";
(() => {
  const live = document.getElementById("live");
  const pause = document.getElementById("pause");
  const stale = document.getElementById("stale");
  if (!live || !pause || !stale) return;
  let paused = false;
  let since = new Date();

  const selecting = () => {
    const selection = document.getSelection();
    return selection !== null && !selection.isCollapsed && live.contains(selection.anchorNode);
  };
  const outdated = (reason) => {
    stale.textContent = `${reason} This page shows the state of ${since.toISOString().slice(11, 19)} UTC.`;
    stale.hidden = false;
  };

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Continue" : "Pause";
  });
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    if (paused || document.hidden || selecting()) event.preventDefault();
  });
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) {
      since = new Date();
      stale.hidden = true;
    } else if (event.detail.xhr.status === 0) {
      outdated("The bridge does not answer.");
    } else if (event.detail.xhr.status !== 401) {
      outdated(`The bridge answers with an error (${event.detail.xhr.status}).`);
    }
  });
})();
