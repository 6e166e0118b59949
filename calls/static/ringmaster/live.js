// The live calls: tick all of a page, and how many are ticked.
document.addEventListener("DOMContentLoaded", () => {
    const form = document.querySelector("#live-form");
    if (!form) return;
    const button = form.querySelector("#hang-up-ticked");
    const boxes = () => [...form.querySelectorAll("input[name=call]")];

    function count() {
        const ticked = boxes().filter((box) => box.checked).length;
        const all = form.querySelector("#tick-all");
        if (all) {
            all.checked = ticked > 0 && ticked === boxes().length;
            all.indeterminate = ticked > 0 && ticked < boxes().length;
        }
        if (!button) return;
        button.disabled = ticked === 0;
        button.querySelector("[data-label]").textContent = ticked ? `Hang up ${ticked} ticked` : "Hang up ticked";
    }

    form.addEventListener("change", (event) => {
        if (event.target.id === "tick-all") {
            for (const box of boxes()) box.checked = event.target.checked;
        }
        count();
    });
    form.addEventListener("ringmaster:refreshed", count);
    for (const select of document.querySelectorAll("#live-filters select")) {
        select.addEventListener("change", () => select.form.requestSubmit());
    }
    count();
});
