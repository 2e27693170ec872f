# What tests/test_vas_against_lavaan.py, test_sem_robust.py and test_sem_fiml.py compare with: lavaan and psych on data/vas (lavaan.R
# says which answers).  From the root of the repository:
#   Rscript tests/reference/vas.R
# Writes beside itself vas_{rows,cases,parameters,fit,correlations,loadings}.csv.
source("tests/reference/lavaan.R")
source("tests/reference/rotation.R")
vas <- vas_answers()
complete <- na.omit(vas)
write_table(data.frame(n = nrow(vas), complete = nrow(complete), sum = sum(vas, na.rm = TRUE)), "vas_rows")

# Ten scales, and value-added service as a construct of the second order.
ten <- loading_on(vas_scales)
second <- paste0(loading_on(vas_scales[c("TS", "CV", "PC", "AS", "SA", "LY")]), "\nVASQ =~ TS + CV + PC + AS")
cases <- list(
  vas_ml = list(ten, "vas", estimator = "ML"),
  vas_mlr = list(ten, "vas", estimator = "MLR"),
  vas_fiml = list(ten, "vas", estimator = "ML", missing = "ml"),
  vas_fiml_mlr = list(ten, "vas", estimator = "MLR", missing = "ml"),
  vas_wlsmv = list(ten, "vas", estimator = "WLSMV"),
  vas_second_ml = list(second, "vas", estimator = "ML"),
  vas_second_mlr = list(second, "vas", estimator = "MLR"),
  vas_second_wlsmv = list(second, "vas", estimator = "WLSMV"))
found <- fit_cases(cases, list(vas = vas))
for (name in names(found$tables)) write_table(found$tables[[name]], paste0("vas_", name), 12)
r <- lavInspect(found$fits$vas_wlsmv, "sampstat")$cov
at <- which(lower.tri(r), arr.ind = TRUE)
write_table(data.frame(a = colnames(r)[at[, 2]], b = rownames(r)[at[, 1]], r = r[at]), "vas_correlations", 12)

loadings <- NULL
for (method in c("minres", "ml", "pa")) {
  l <- extracted(complete, length(vas_scales), method)
  for (rotation in c("oblimin", "promax", "varimax")) {
    s <- ordered(rotated(l, rotation))
    colnames(s$loadings) <- colnames(s$Phi) <- paste0("F", seq_along(vas_scales))
    loadings <- rbind(loadings, data.frame(method, rotation, row = c(names(vas), colnames(s$Phi)), rbind(s$loadings, s$Phi)))
  }
}
write_table(loadings, "vas_loadings", 12)
