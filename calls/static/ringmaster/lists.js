// The bar under a list stands there only while the list is wider than its frame. It is measured as the page opens and
// when the frame changes; here also when the list does, which becomes narrower as its font is loaded.
document.addEventListener("DOMContentLoaded", () => {
    const list = document.getElementById("result_list");
    const frame = list && list.closest("[data-simplebar]");
    if (!frame) return;
    new ResizeObserver(() => SimpleBar.instances.get(frame)?.recalculate()).observe(list);
});
