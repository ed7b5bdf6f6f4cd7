"use strict";
// The live part of a page is sent anew whenever it differs; what is open, scrolled and focused stays.
const part = document.querySelector("[data-live]");
const live = document.getElementById("live");
const say = (text, state) => { if (live) { live.textContent = text; live.className = `live ${state}`; } };
// A state that has changed asks for other buttons: the page is loaded anew, unless somebody writes.
const state = () => (part.querySelector("[data-state]") || { dataset: {} }).dataset.state;
const isWritten = () => [...document.querySelectorAll("main input, main textarea")].some((one) => one.value !== one.defaultValue);
// What was said of the last button is said once by the server, and so kept over that reload.
const KEPT = "rosterd_said";
const reload = () => {
  const said = document.querySelector("main > p.said[role=status]");
  if (said) sessionStorage.setItem(KEPT, said.textContent);
  window.location.reload();
};
const kept = sessionStorage.getItem(KEPT);
if (kept) {
  sessionStorage.removeItem(KEPT);
  const again = document.createElement("p");
  again.className = "said";
  again.setAttribute("role", "status");
  again.textContent = kept;
  document.querySelector("main").prepend(again);
}
const open = () => [...part.querySelectorAll("details[id][open]")].map((one) => one.id);
if (part) {
  const began = state();
  const stream = new EventSource(part.dataset.live);
  stream.onopen = () => say("live", "on");
  stream.onmessage = (event) => {
    const scrolled = [...part.querySelectorAll(".box")].map((box) => box.scrollLeft);
    const opened = open();
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const href = focused && focused.getAttribute("href");
    if (window.getSelection().toString() && part.contains(window.getSelection().anchorNode)) return;
    part.innerHTML = event.data;
    part.querySelectorAll(".box").forEach((box, i) => { box.scrollLeft = scrolled[i] || 0; });
    opened.forEach((id) => { const one = document.getElementById(id); if (one) one.open = true; });
    if (href) { const again = [...part.querySelectorAll("a")].find((one) => one.getAttribute("href") === href); if (again) again.focus(); }
    say("live", "on");
    if (state() !== began && !isWritten()) reload();
  };
  stream.onerror = () => say("connection lost, these figures are old", "off");
}
