# lavaan's cluster-robust numbers for tests/test_sem_robust.py, and the data.  From the root of the repository:
#   Rscript tests/reference/cluster.R
# lavaan sums the scores of a cluster's rows, multiplies their cross-products by J/(J - 1) with J the clusters of the
# group, divides by the number of rows, and estimates means.
source("tests/reference/lavaan.R")

# Customers of 70 firms of unequal size: what they answer depends on the firm and is skewed.  Regions hold whole firms;
# the sexes are in every firm.
set.seed(70)
size <- sample(4:16, 70, replace = TRUE)
firm <- rep(sprintf("F%02d", 1:70), size)
n <- length(firm)
shared <- function(sd) rep(rnorm(70, sd = sd), size)
skewed <- function(sd) sd * (rchisq(n, 4) - 4) / sqrt(8)
z <- shared(0.6) + rnorm(n)
f1 <- 0.4 * z + shared(0.5) + skewed(0.8)
f2 <- 0.5 * f1 + 0.2 * z + shared(0.4) + skewed(0.7)
rows <- data.frame(firm, region = ifelse(firm <= "F30", "north", "south"), sex = sample(c("f", "m"), n, replace = TRUE), z)
load <- c(1, 0.8, 1.2, 1, 0.9, 1.1)
for (i in 1:6) rows[[paste0("y", i)]] <- 4 + load[i] * (if (i <= 3) f1 else f2) + shared(0.3) + skewed(0.6)
for (name in c("z", paste0("y", 1:6))) rows[[name]] <- round(rows[[name]], 3)
holes <- rows
for (i in 1:6) holes[[paste0("y", i)]][runif(n) < ifelse(i > 3 & rows$y1 < 3.5, 0.3, 0.1)] <- NA
data <- list(cluster = rows, cluster_missing = holes)
for (name in names(data)) write_csv(data[[name]], name, source = "drawn here")

two <- "f1 =~ y1 + y2 + y3\nf2 =~ y4 + y5 + y6\nf2 ~ f1"
even <- "f1 =~ y1 + a*y2 + y3\nf2 =~ y4 + a*y5 + y6\nf2 ~ f1"
mimic <- "f1 =~ y1 + y2 + y3\nf2 =~ y4 + y5 + y6\nf1 ~ z\nf2 ~ f1 + z"
metric <- "f1 =~ y1 + a*y2 + b*y3\nf2 =~ y4 + c*y5 + d*y6\nf2 ~ f1"
cases <- expand.grid(model = c("two", "even", "mimic", "groups", "metric", "crossed"), missing = c("listwise", "fiml"),
                     stringsAsFactors = FALSE)
cases$case <- paste(cases$model, cases$missing, sep = "_")
cases$syntax <- unlist(list(two = two, even = even, mimic = mimic, groups = two, metric = metric, crossed = two)[cases$model])
cases$group <- unlist(list(two = "", even = "", mimic = "", groups = "region", metric = "region", crossed = "sex")[cases$model])
cases$data <- ifelse(cases$missing == "fiml", "cluster_missing", "cluster")

fits <- list(); parameters <- measures <- tests <- NULL
for (at in seq_len(nrow(cases))) {
  case <- cases[at, ]
  arguments <- list(case$syntax, data[[case$data]], estimator = "MLR", meanstructure = TRUE)
  if (case$missing == "fiml") arguments$missing <- "ml"
  if (case$group != "") arguments$group <- case$group
  # the estimates are those of independent rows; with cluster= lavaan computes a test even when told not to
  best <- do.call(reach, c(arguments, full = FALSE))
  fit <- fits[[case$case]] <- suppressWarnings(do.call("sem", c(arguments, list(
    cluster = "firm", start = parTable(best), optim.method = "none", optim.force.converged = TRUE, fixed.x = TRUE,
    em.h1.tol = 1e-11, em.h1.iter.max = 20000L))))
  options <- lavInspect(fit, "options")
  stopifnot(options$se == "robust.cluster", options$test == "yuan.bentler.mplus", options$meanstructure)
  cat(sprintf("%-18s npar %3d  gradient %.1e\n", case$case, lavInspect(fit, "npar"), max(abs(slope(best)))))
  p <- suppressWarnings(parameterEstimates(fit, standardized = TRUE))
  if (is.null(p$group)) p$group <- 1
  parameters <- rbind(parameters, data.frame(case = case$case, p[c("lhs", "op", "rhs", "group", "est", "se", "std.all")]))
  f <- suppressWarnings(fitMeasures(fit))
  measures <- rbind(measures, data.frame(case = case$case, measure = names(f), value = as.numeric(f)))
}
for (pair in list(c("even_listwise", "two_listwise"), c("metric_listwise", "groups_listwise"), c("even_fiml", "two_fiml"),
                  c("metric_fiml", "groups_fiml")))
  for (method in c("satorra.bentler.2001", "satorra.2000")) {
    if (method == "satorra.2000" && grepl("fiml", pair[1])) next  # lavaan has none
    test <- suppressWarnings(lavTestLRT(fits[[pair[2]]], fits[[pair[1]]], method = method))
    tests <- rbind(tests, data.frame(small = pair[1], large = pair[2], method, d_chisq = test[2, "Chisq diff"],
                                     d_df = test[2, "Df diff"], d_p = test[2, "Pr(>Chisq)"]))
  }
write_table(cases[c("case", "missing", "group", "data", "syntax")], "cluster_cases")
write_table(parameters, "cluster_parameters")
write_table(measures, "cluster_fit")
write_table(tests, "cluster_difference")

# The completed copies of robust.R, their rows dealt to 40 firms, pooled by semTools; BFGS comes closer to the optimum than nlminb.
copies <- lapply(split(read_csv("robust_copies"), ~copy), function(rows) cbind(rows, firm = seq_len(nrow(rows)) %% 40))
pooled <- suppressMessages(suppressWarnings(semTools::runMI(
  "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9", copies, fun = "cfa", estimator = "MLR", cluster = "firm",
  optim.force.converged = TRUE, optim.method = "BFGS", control = list(reltol = 1e-20, maxit = 10000))))
theta <- getMethod("coef", "lavaan.mi")(pooled)
se <- sqrt(diag(getMethod("vcov", "lavaan.mi")(pooled, scale.W = FALSE)))
fit <- suppressMessages(suppressWarnings(getMethod("fitMeasures", "lavaan.mi")(pooled, test = "D3", asymptotic = TRUE)))
write_table(rbind(data.frame(kind = "est", name = names(theta), value = as.numeric(theta)),
                  data.frame(kind = "se", name = names(theta), value = as.numeric(se)),
                  data.frame(kind = "measure", name = names(fit), value = as.numeric(fit))), "cluster_pooled")
