// The button that prints. On the document, as a live story is put in anew twice a second.
document.addEventListener("click", (event) => {
    if (event.target.closest("[data-print]")) print();
});
