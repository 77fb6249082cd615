// What can be done with a task, from the list and from its page alike.
(function () {
  "use strict";
  const { text, h, icon, api, toast, complain, ask } = mm;
  const ICONS = { stop: "stop-circle", resume: "play-fill", resume_anyway: "exclamation-triangle-fill", retry: "arrow-repeat", clone: "copy", archive: "archive", unarchive: "box-arrow-up", order: "list-ol", delete: "trash", restore: "arrow-counterclockwise" };

  // On a task's own page, which has the room to say why, a resume that was refused can be forced.
  function possible(task, own) {
    if (task.purging_at) { return []; }
    if (task.deleted_at) { return ["restore"]; }
    const archived = task.archived_at ? "unarchive" : "archive";
    switch (task.state) {
      case "QUEUED": return ["order", "stop"];
      case "STARTING": case "RUNNING": return ["stop"];
      case "FINISHED": return ["retry", archived, "delete"];
      case "FAILED": case "STOPPED": return ["resume", ...(own && task.error_class === "data_changed" ? ["resume_anyway"] : []), "retry", archived, "delete"];
      default: return [];
    }
  }

  async function confirmed(name, task) {
    if (name === "stop") {
      return ask(text("stop_title", { name: task.name }), text(task.state === "QUEUED" ? "stop_queued_text" : "stop_text"), text("stop"), true);
    }
    if (name === "resume_anyway") {
      return ask(text("resume_anyway_title", { name: task.name }), text("resume_anyway_text"), text("resume_anyway"), true);
    }
    const told = (found) => text("delete_text") + (found ? ` ${text("delete_frees", { bytes: mm.trash.size(found.bytes) })}` : "");
    return name !== "delete" || mm.trash.ask(text("delete_title", { name: task.name }), told, [task.id], text("delete"));
  }

  const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  // A button that was pressed rests until its action is done. A retry that failed is sent with the same key again, so
  // that an answer that got lost does not make a second task.
  async function act(name, task, changed, element, settled) {
    if (name === "order") { mm.queueDialog(task, (result) => changed(name, result)); return; }
    if (!(await confirmed(name, task))) { return; }
    const focused = element && element === document.activeElement;
    if (element) { element.disabled = true; }
    try {
      const path = `/api/tasks/${encodeURIComponent(task.id)}`;
      if (element && !element.dataset.key) { element.dataset.key = newKey(); }
      const call = name === "retry" && element ? `retry?key=${element.dataset.key}` : name === "resume_anyway" ? "resume?force=true" : name;
      const result = name === "delete" ? await api(path, { method: "DELETE" }) : await api(`${path}/${call}`, { method: "POST" });
      if (element) { delete element.dataset.key; }
      const back = { delete: "restore", archive: "unarchive", unarchive: "archive" }[name];
      const undo = back && !settled ? { label: text("undo"), action: () => act(back, task, changed, null, true), seconds: 12 } : {};
      toast(text(`done_${name}`, { name: result.name || task.name }), undo);
      changed(name, result);
    } catch (error) { complain(error); }
    if (element) { element.disabled = false; }
    if (focused && element.isConnected && document.activeElement.tabIndex < 0) { element.focus(); }
  }

  // A button that names its task for screen readers; `words` shows the label beside the icon.
  function button(name, task, changed, words) {
    const label = text(name);
    const style = name === "stop" || name === "delete" ? "btn-quiet btn-danger" : "btn-quiet";
    const element = h("button", {
      class: `btn ${style} ${words ? "" : "btn-icon"}`, type: "button", "data-action": name,
      title: words ? null : label, "aria-label": words ? null : `${label}: ${task.name}`,
      onclick: () => act(name, task, changed, element),
    }, icon(ICONS[name]), words ? label : "");
    return element;
  }

  // Why a task waits, and its place in the queue. The platform says it in English; a sentence that is not known here is
  // shown as it came.
  const TURN = /^waits for its turn\.?$/i;
  const WAITS = [
    [/^waits for (?<slots>.+), held by (?<holders>.+?)\.?$/i, "waits_held"],
    [/^waits for (?<slots>.+), which this machine does not have\.?$/i, "waits_missing"],
    [/^next try in (?<seconds>.+) s\.?$/i, "waits_retry"],
    [TURN, "waits_position"],
  ];
  mm.waits = (sentence, place) => {
    for (const [pattern, key] of WAITS) {
      const match = pattern.exec(sentence);
      if (match) { return text(key, { n: mm.whole(place), ...match.groups }); }
    }
    return sentence;
  };

  // Whether it is only its place that it waits for.
  mm.inLine = (sentence) => TURN.test(sentence);

  mm.actions = { possible, act, button, icons: ICONS };
})();
