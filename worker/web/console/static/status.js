"use strict";
const main = document.getElementById("main");
const live = document.getElementById("live");
const say = (text, state) => { live.textContent = text; live.className = `live ${state}`; };
const stream = new EventSource("/status/stream");
stream.onopen = () => say("live", "on");
stream.onmessage = (event) => {
  const boxes = [...main.querySelectorAll(".box")].map((box) => box.scrollLeft);
  main.innerHTML = event.data;
  main.querySelectorAll(".box").forEach((box, i) => { box.scrollLeft = boxes[i] || 0; });
  say("live", "on");
};
stream.onerror = () => say("connection lost, these figures are old", "off");
