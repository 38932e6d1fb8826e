const FACT_TITLES = { hardware: "Hardware", software: "Software", details: "Settings and details" };

function renderEnvironment(set) {
  const machine = DATA.machines[set.machine];
  const facts = Object.entries(FACT_TITLES).map(([part, title]) => factCard(title, machine.facts[part], machine.num_runs));
  byId("environment-body").replaceChildren(
    el("p", { class: "hint" }, `All runs of ${machine.name}: ${count(machine.num_runs, "run")}, ${fixed(machine.num_ok)} of them ok, ${machine.dates} (UTC). ${machine.noise}`),
    el("div", { class: "pair" }, facts.filter(Boolean), factCard("Data", machine.data, machine.num_runs)),
    el("h3", { class: "more" }, "Commands"),
    el("pre", { tabindex: "0", role: "region", "aria-label": "Commands" }, machine.commands.join("\n")),
    ...[foldout(`Skipped files (${machine.problems.length})`, machine.problems.length ? el("ul", { class: "list" }, machine.problems.map(([name, reason]) => el("li", {}, el("b", {}, name), ` ${reason}`))) : null)].filter(Boolean),
  );
}

/** Each field with its value, and in how many runs where there are several. */
function factCard(title, facts, numRuns) {
  if (!facts.length) return null;
  const lines = facts.flatMap(([name, values]) => {
    const several = values.length > 1 || values[0][1] < numRuns;
    return [el("dt", {}, name.replace(/_/g, " ")), el("dd", {}, values.map(([text, number]) => (several ? `${text} (${count(number, "run")})` : text)).join("; "))];
  });
  return el("div", { class: "card" }, el("h3", {}, title), el("dl", {}, lines));
}
