# lavaan's numbers for tests/test_sem_robust.py and tests/test_sem_fiml.py.  From the root of the repository:
#   Rscript tests/reference/robust.R
source("tests/reference/lavaan.R")
hs <- HolzingerSwineford1939
bfi <- psych::bfi
# Answers deleted completely at random, and those to x4-x6 more often where x1 is low; one row loses all of them.
set.seed(1939)
holes <- hs
for (v in paste0("x", 1:9)) holes[[v]][runif(nrow(hs)) < ifelse(v %in% c("x4", "x5", "x6") & hs$x1 < 4.5, 0.35, 0.10)] <- NA
holes[7, paste0("x", 1:9)] <- NA
holes$ageyr[c(20, 50, 120)] <- NA
write_csv(holes, "hs_missing", source = "lavaan::HolzingerSwineford1939 with answers deleted")

metric <- "visual =~ x1 + a*x2 + b*x3
textual =~ x4 + c*x5 + d*x6
speed =~ x7 + e*x8 + f*x9"
one <- "g =~ x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9"
second <- paste0(three, "\ng =~ visual + textual + speed")
mimic <- "visual =~ x1 + x2 + x3
speed =~ x7 + x8 + x9
visual ~ ageyr + sex
speed ~ visual + ageyr
x4 ~ visual + sex"
five <- "agree =~ A1 + A2 + A3 + A4 + A5
consc =~ C1 + C2 + C3 + C4 + C5
extra =~ E1 + E2 + E3 + E4 + E5
neuro =~ N1 + N2 + N3 + N4 + N5
open =~ O1 + O2 + O3 + O4 + O5"
group <- list(group = "school", group.label = c("Grant-White", "Pasteur"))
# name: syntax, data, further arguments
cases <- list(
  hs_mlr = list(three, "hs", estimator = "MLR"),
  hs_means_mlr = list(three, "hs", estimator = "MLR", meanstructure = TRUE),
  one_mlr = list(one, "hs", estimator = "MLR"),
  second_mlr = list(second, "hs", estimator = "MLR"),
  groups_mlr = c(list(three, "hs", estimator = "MLR"), group),
  metric_mlr = c(list(metric, "hs", estimator = "MLR"), group),
  mimic_mlr = list(mimic, "hs", estimator = "MLR"),
  direct_mlr = list(sub("speed ~ visual + ageyr", "speed ~ visual", mimic, fixed = TRUE), "hs", estimator = "MLR"),
  pd_mlr = list(bollen, "pd", estimator = "MLR"),
  hs_listwise_mlr = list(three, "hs_missing", estimator = "MLR"),
  hs_fiml = list(three, "hs_missing", estimator = "ML", missing = "ml"),
  hs_fiml_mlr = list(three, "hs_missing", estimator = "MLR", missing = "ml"),
  one_fiml_mlr = list(one, "hs_missing", estimator = "MLR", missing = "ml"),
  second_fiml_mlr = list(second, "hs_missing", estimator = "MLR", missing = "ml"),
  groups_fiml = c(list(three, "hs_missing", estimator = "ML", missing = "ml"), group),
  groups_fiml_mlr = c(list(three, "hs_missing", estimator = "MLR", missing = "ml"), group),
  metric_fiml_mlr = c(list(metric, "hs_missing", estimator = "MLR", missing = "ml"), group),
  mimic_fiml = list(mimic, "hs_missing", estimator = "ML", missing = "ml"),
  mimic_fiml_mlr = list(mimic, "hs_missing", estimator = "MLR", missing = "ml"),
  bfi_ml = list(five, "bfi", estimator = "ML"),
  bfi_mlr = list(five, "bfi", estimator = "MLR"),
  bfi_fiml = list(five, "bfi", estimator = "ML", missing = "ml"),
  bfi_fiml_mlr = list(five, "bfi", estimator = "MLR", missing = "ml"))
pairs <- list(c("one_mlr", "hs_mlr"), c("metric_mlr", "groups_mlr"), c("direct_mlr", "mimic_mlr"),
              c("one_fiml_mlr", "hs_fiml_mlr"), c("metric_fiml_mlr", "groups_fiml_mlr"))

data <- list(hs = hs, hs_missing = holes, bfi = bfi, pd = PoliticalDemocracy)
found <- fit_cases(cases, data)
fits <- found$fits
all <- c(found$tables, list(modification = NULL, difference = NULL))
for (name in c("mimic_mlr", "hs_fiml_mlr"))
  all$modification <- rbind(all$modification, data.frame(case = name, modindices(fits[[name]])[c("lhs", "op", "rhs", "mi", "epc")]))
for (pair in pairs) for (method in c("satorra.bentler.2001", "satorra.2000")) {
  if (method == "satorra.2000" && grepl("fiml", pair[1])) next  # lavaan has none
  test <- lavTestLRT(fits[[pair[2]]], fits[[pair[1]]], method = method)
  all$difference <- rbind(all$difference, data.frame(small = pair[1], large = pair[2], method, d_chisq = test[2, "Chisq diff"],
                          d_df = test[2, "Df diff"], d_p = test[2, "Pr(>Chisq)"]))
}
for (name in names(all)) write_table(all[[name]], paste0("robust_", name), 12)

# Completed copies (any will do) pooled by semTools.
set.seed(7)
copies <- lapply(1:5, function(copy) {
  filled <- holes[-7, c("school", paste0("x", 1:9))]
  for (v in paste0("x", 1:9)) {
    gone <- is.na(filled[[v]])
    filled[[v]][gone] <- round(rnorm(sum(gone), mean(filled[[v]], na.rm = TRUE), sd(filled[[v]], na.rm = TRUE)), 3)
  }
  filled
})
write_csv(do.call(rbind, Map(cbind, copy = 1:5, copies)), "robust_copies", source = "drawn here")
pooled <- NULL
for (means in c(FALSE, TRUE)) {
  fit <- suppressMessages(semTools::runMI(three, copies, fun = "cfa", meanstructure = means, optim.force.converged = TRUE,
                                         control = list(rel.tol = 1e-15)))
  theta <- getMethod("coef", "lavaan.mi")(fit)
  se <- sqrt(diag(getMethod("vcov", "lavaan.mi")(fit, scale.W = FALSE)))
  test <- suppressMessages(semTools::lavTestLRT.mi(fit, test = "D3", asymptotic = TRUE))
  measures <- suppressMessages(getMethod("fitMeasures", "lavaan.mi")(fit, test = "D3", asymptotic = TRUE,
                               fit.measures = c("chisq", "baseline.chisq", "cfi", "tli", "rmsea")))
  pooled <- rbind(pooled, data.frame(means, kind = "est", name = names(theta), value = as.numeric(theta)),
                  data.frame(means, kind = "se", name = names(theta), value = as.numeric(se)),
                  data.frame(means, kind = "measure", name = names(measures), value = as.numeric(measures)),
                  data.frame(means, kind = "test", name = names(test), value = as.numeric(test)))
}
write_table(pooled, "robust_pooled", 12)
