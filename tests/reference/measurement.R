# What tests/test_measurement.py compares with: lavaan, semTools and psych on Holzinger-Swineford and mobi.
# Run from the root of the repository: Rscript tests/reference/measurement.R
# Writes measurement.csv (set, table, row, column, value) beside itself.
source("tests/reference/lavaan.R")
suppressPackageStartupMessages({library(semTools); library(psych)})
mobi <- customers()

out <- NULL
keep <- function(set, table, row, column, value)
  out <<- rbind(out, data.frame(set, table, row, column, value = sprintf("%.15g", as.numeric(value))))
square <- function(set, table, m) for (i in rownames(m)) for (j in colnames(m)) keep(set, table, i, j, m[i, j])

# Reliability and discriminant validity of the constructs of a model fitted to complete rows.
coefficients_of <- function(set, syntax, data, fit, second = character(0)) {
  fit_z <- reach(syntax, as.data.frame(scale(data[lavNames(fit)])))
  omega <- compRelSEM(fit, obs.var = FALSE, higher = second); cr <- compRelSEM(fit_z, obs.var = FALSE)
  ave <- AVE(fit_z, obs.var = FALSE)
  table <- parTable(fit)
  for (f in setdiff(names(cr), second)) {
    own <- table$rhs[table$op == "=~" & table$lhs == f]
    keep(set, "validity", f, "omega", omega[f]); keep(set, "validity", f, "cr", cr[f]); keep(set, "validity", f, "ave", ave[f])
    keep(set, "validity", f, "alpha", suppressMessages(psych::alpha(data[own], warnings = FALSE)$total$raw_alpha))
  }
  if (length(second)) return(keep(set, "validity", second, "omega", omega[second]))
  several <- paste(grep("\\+", strsplit(syntax, "\n")[[1]], value = TRUE), collapse = "\n")
  square(set, "htmt", htmt(several, data, htmt2 = FALSE)); square(set, "htmt2", htmt(several, data, htmt2 = TRUE))
}

describe <- function(set, syntax, data, second = character(0)) {
  items <- lavNames(syntax, "ov.ind"); items <- items[items %in% names(data)]
  z <- as.data.frame(scale(data[items]))
  fit <- reach(syntax, data)
  std <- standardizedSolution(fit)
  loads <- std[std$op == "=~", ]
  for (k in seq_len(nrow(loads)))
    for (what in c("est.std", "se", "ci.lower", "ci.upper")) keep(set, "loadings", loads$lhs[k], paste(loads$rhs[k], what), loads[k, what])
  for (m in c("chisq", "df", "cfi", "rmsea", "srmr")) keep(set, "fit", m, "value", fitMeasures(fit, m))
  square(set, "latent", lavInspect(fit, "cor.lv"))
  square(set, "residuals", lavResiduals(fit, type = "cor")$cov)

  coefficients_of(set, syntax, data, fit, second)
  if (length(second)) return(invisible())

  keep(set, "method", "harman_pca", "share", eigen(cor(data[items]))$values[1] / length(items))
  one <- reach(paste("ONE =~", paste(items, collapse = " + ")), data)
  one_std <- standardizedSolution(one); one_std <- one_std[one_std$op == "=~", "est.std"]
  keep(set, "method", "harman_ml", "share", mean(one_std^2))
  keep(set, "method", "one_factor", "chisq", fitMeasures(one, "chisq")); keep(set, "method", "one_factor", "df", fitMeasures(one, "df"))
  versus <- anova(fit, one)
  keep(set, "method", "one_factor", "d_chisq", versus[2, "Chisq diff"]); keep(set, "method", "one_factor", "d_df", versus[2, "Df diff"])
  latents <- lavNames(syntax, "lv")
  with_method <- reach(paste(c(syntax, paste("METHOD =~", paste0("1*", items, collapse = " + ")),
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
describe("hs", three, hs)
describe("ecsi", four, mobi)
describe("single", paste0(four, "\nCOMP =~ CUSCO"), mobi)
describe("second", paste0(three, "\nG =~ visual + textual + speed"), hs, second = "G")

turned <- na.omit(psych::bfi[, 1:25])
for (item in c("A1", "C4", "C5", "E1", "E2", "O2", "O5")) turned[[item]] <- 7 - turned[[item]]
five <- loading_on(lapply(c(A = "A", C = "C", E = "E", N = "N", O = "O"), paste0, 1:5))
coefficients_of("bfi", five, turned, reach(five, turned))
vas <- na.omit(vas_answers())
coefficients_of("vas", loading_on(vas_scales), vas, reach(loading_on(vas_scales), vas))
write_csv(out, "measurement")
