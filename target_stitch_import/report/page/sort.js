"use strict";
// Orders a table's rows by the column whose title is pressed. Without this script, the page is
// complete, but its tables cannot be sorted.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  if (body.rows.length < 2) continue;
  [...table.tHead.rows[0].cells].forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const value = (row) => {
      const cell = row.cells[at];
      return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
    };
    button.addEventListener("click", () => {
      const isNumber = head.classList.contains("n");
      const now = head.getAttribute("aria-sort");
      const order = now ? (now === "ascending" ? -1 : 1) : isNumber ? -1 : 1;
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order > 0 ? "ascending" : "descending");
      const rows = [...body.rows].sort((one, two) => {
        const [a, b] = [value(one), value(two)];
        return order * (isNumber ? a - b : a.localeCompare(b));
      });
      body.append(...rows);
    });
  });
}
