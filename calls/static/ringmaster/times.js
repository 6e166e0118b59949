// Times in the viewer's zone. The server writes them in the zone that the cookie names; the first
// page of a visit comes before the cookie and is brought into the same form here.
(() => {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
    document.cookie = `ringmaster_zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; SameSite=Lax`;
    const two = (number) => String(number).padStart(2, "0");

    function written(moment, form) {
        const day = `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
        const clock = [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(two).join(":");
        if (form === "clock") return clock;
        if (form === "exact") return `${day} ${clock}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
        if (form === "minutes") return `${day} ${clock.slice(0, 5)}`;
        return `${day} ${clock}`;
    }

    function localise(root) {
        for (const time of root.querySelectorAll("time[datetime]")) {
            const moment = new Date(time.dateTime);
            const text = Number.isNaN(moment.getTime()) ? time.textContent : written(moment, time.dataset.form);
            if (text !== time.textContent) time.textContent = text;
        }
        for (const name of root.querySelectorAll("[data-zone]")) name.textContent = zone;
    }

    document.addEventListener("DOMContentLoaded", () => localise(document));
    document.addEventListener("ringmaster:refreshed", (event) => localise(event.target));
})();
