"use strict";
// Shows one structure, or all. Paper and readers without scripts get all.
const filter = document.getElementById("filter");
const choice = document.getElementById("structure");
const parts = document.querySelectorAll("[data-structure]");
function choose() {
  for (const part of parts) part.hidden = choice.value !== "" && part.dataset.structure !== choice.value;
}
choice.addEventListener("change", choose);
filter.hidden = false;
choose(); // a browser may remember the choice when the page is loaded again
