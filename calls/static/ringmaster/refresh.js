// Parts of a page that refresh themselves: <div data-refresh="/address" data-every="2">.
//
// The answer is HTML with the header X-Fragment; anything else (a log-in page, an error) leaves
// the part as it is and says so in the element that data-refresh-state names. What is ticked,
// and what has the keyboard's focus, stays. A page that nobody sees asks for nothing. A part with
// data-refresh-end in it stays as it is from then on.
(() => {
    const at = () => new Date().toLocaleTimeString("en-GB");

    function watch(part) {
        const state = document.querySelector(part.dataset.refreshState);
        const pause = document.querySelector(part.dataset.refreshPause);
        let paused = false;
        let last = at();

        function say(text, failed) {
            if (!state) return;
            state.textContent = text;
            state.classList.toggle("rm-bad", failed);
        }

        function put(html) {
            const ticked = new Set([...part.querySelectorAll("input:checked")].map((box) => box.value));
            const focused = part.contains(document.activeElement) ? document.activeElement : null;
            const key = focused && (focused.dataset.key || focused.value);
            part.innerHTML = html;
            for (const box of part.querySelectorAll("input[type=checkbox]")) {
                if (ticked.has(box.value)) box.checked = true;
            }
            if (key) {
                const same = [...part.querySelectorAll("input, button, a")].find(
                    (each) => (each.dataset.key || each.value) === key,
                );
                if (same) same.focus();
            }
            part.dispatchEvent(new CustomEvent("ringmaster:refreshed", { bubbles: true }));
        }

        async function look() {
            try {
                const answer = await fetch(part.dataset.refresh, { headers: { "X-Fragment": "1" }, cache: "no-store" });
                if (!answer.ok || !answer.headers.has("X-Fragment")) throw new Error(`status ${answer.status}`);
                const html = await answer.text();
                if (paused) return;
                put(html);
                last = at();
                say(`Refreshed ${last}`, false);
            } catch {
                say(`Not refreshed since ${last}; trying again. Reload the page if this stays.`, true);
            }
        }

        async function loop() {
            if (!paused && !document.hidden) await look();
            if (part.querySelector("[data-refresh-end]")) {
                part.dispatchEvent(new CustomEvent("ringmaster:ended", { bubbles: true }));
                return;
            }
            setTimeout(loop, 1000 * Number(part.dataset.every));
        }

        if (pause) {
            pause.addEventListener("click", () => {
                paused = !paused;
                pause.setAttribute("aria-pressed", String(paused));
                pause.querySelector("[data-label]").textContent = paused ? "Go on" : "Pause";
                say(paused ? `Paused at ${last}` : `Refreshed ${last}`, false);
            });
        }
        say(`Refreshed ${last}`, false);
        setTimeout(loop, 1000 * Number(part.dataset.every));
    }

    document.addEventListener("DOMContentLoaded", () => {
        document.querySelectorAll("[data-refresh]").forEach(watch);
    });
})();
