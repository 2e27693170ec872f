"""The ground floor: results, words, theme, model language and errors; knows no study and no statistic."""
