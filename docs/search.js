// Sphinx's scores of search results, except that a member of a class ranks below a heading.
var Scorer = {
  score: ([docname, title, anchor, description, score, filename, kind]) =>
    kind === "object" && title.split(".").length > 2 ? score - 5 : score,
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
