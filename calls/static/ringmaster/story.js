// The button that prints. On the document, as a live story is put in anew twice a second.
document.addEventListener("click", (event) => {
    if (event.target.closest("[data-print]")) print();
});

// A call that is over while somebody looks: its steps below are those it had when the page came.
document.addEventListener("ringmaster:ended", () => {
    const up = document.querySelector("[data-up]");
    if (!up) return;
    up.textContent = "This call is over.";
    const whole = document.createElement("a");
    whole.className = "rm-link";
    whole.href = location.href;
    whole.textContent = "Show all its steps";
    document.querySelector("#pause").replaceWith(whole);
    document.querySelector("#refreshed").remove();
});
