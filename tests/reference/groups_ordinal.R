# lavaan's numbers for ordinal items in several groups (tests/test_sem_invariance.py).  From the root of the repository:
#   Rscript tests/reference/groups_ordinal.R
# The steps are Wu and Estabrook's (2016), with a marker; semTools::measEq.syntax writes the same models with latent
# variances of 1, and the script stops if its chi-square or degrees of freedom differ.
source("tests/reference/lavaan.R")
suppressMessages(library(semTools))
hs <- read_csv("ordinal_hs")
hs$school <- read_csv("hs")$school
bfi <- psych::bfi
bfi <- within(bfi[complete.cases(bfi[, 1:10]), ], age <- as.character(cut(age, c(0, 20, 30, 100), c("a", "b", "c"))))
items <- list(hs = list(visual = paste0("x", 1:3), textual = paste0("x", 4:6), speed = paste0("x", 7:9)),
              bfi = list(agree = paste0("A", 1:5), consc = paste0("C", 1:5)), age = list(agree = paste0("A", 1:5), consc = paste0("C", 1:5)))
data <- list(hs = hs, bfi = bfi, age = bfi)
group <- c(hs = "school", bfi = "gender", age = "age")
labels <- list(hs = c("Grant-White", "Pasteur"), bfi = c("1", "2"), age = c("a", "b", "c"))
equal <- list(configural = "", thresholds = "thresholds", metric = c("thresholds", "loadings"),
              scalar = c("thresholds", "loadings", "intercepts"), strict = c("thresholds", "loadings", "intercepts", "residuals"))

# lavaan syntax of a step: what is not written is lavaan's default (thresholds and loadings of each group's own, scales 1).
# Equal residual variances ("strict") are taken from semTools, in theta parameterisation.
written <- function(name, level) {
  factors <- items[[name]]
  frame <- data[[name]]
  k <- length(labels[[name]])
  all <- unlist(factors)
  has <- function(what) what %in% equal[[level]]
  own <- function(free, fixed) paste0("c(", paste(c(fixed, rep(free, k - 1)), collapse = ", "), ")*")
  same <- function(label) paste0("c(", paste(rep(label, k), collapse = ", "), ")*")
  lines <- sapply(names(factors), function(f) paste0(f, " =~ ", factors[[f]][1], paste0(" + ", sapply(factors[[f]][-1], function(x)
    paste0(if (has("loadings")) same(paste0("l_", x)), x)), collapse = "")))
  if (has("thresholds")) for (x in all) {
    t <- paste0("t", seq_len(length(unique(frame[[x]])) - 1))
    lines <- c(lines, paste0(x, " | ", paste0(sapply(paste0(x, "_", t), same), t, collapse = " + ")), paste0(x, " ~*~ ", own("NA", 1), x),
               paste0(x, " ~ ", if (has("intercepts")) same("0") else own("NA", 0), "1"))
  }
  if (has("intercepts")) lines <- c(lines, paste0(names(factors), " ~ ", own("NA", 0), "1"))
  paste(lines, collapse = "\n")
}
run <- function(name, syntax, parameterization = "delta")
  reach_ordinal(syntax, data[[name]], group = group[[name]], group.label = labels[[name]], parameterization = parameterization)

fit_rows <- parameter_rows <- difference_rows <- NULL
for (name in names(items)) {
  fits <- list()
  for (level in names(equal)) {
    wu <- as.character(suppressWarnings(measEq.syntax(
      paste(sapply(names(items[[name]]), function(f) paste(f, "=~", paste(items[[name]][[f]], collapse = " + "))), collapse = "\n"),
      data[[name]], ordered = unlist(items[[name]]), group = group[[name]], group.label = labels[[name]], ID.fac = "std.lv",
      ID.cat = "Wu.Estabrook.2016", parameterization = if (level == "strict") "theta" else "delta", group.equal = equal[[level]])))
    check <- run(name, wu, if (level == "strict") "theta" else "delta")
    fit <- if (level == "strict") check else run(name, written(name, level))
    cat(sprintf("%-5s %-10s chisq %.6f (measEq.syntax %.6f) df %d gradient %.1e\n", name, level, fitMeasures(fit, "chisq"),
                fitMeasures(check, "chisq"), fitMeasures(fit, "df"), max(abs(slope(fit)))))
    stopifnot(abs(fitMeasures(fit, "chisq") - fitMeasures(check, "chisq")) < 1e-5, fitMeasures(fit, "df") == fitMeasures(check, "df"))
    fits[[level]] <- fit
    value <- suppressWarnings(fitMeasures(fit))
    fit_rows <- rbind(fit_rows, data.frame(data = name, level = level, measure = c(names(value), "chisq.shift"),
                                           value = c(as.numeric(value), sum(fit@test$scaled.shifted$shift.parameter))))
    if (level != "strict") {
      p <- suppressWarnings(parameterEstimates(fit, standardized = TRUE))
      parameter_rows <- rbind(parameter_rows, data.frame(data = name, level = level, p[c("lhs", "op", "rhs", "group", "est", "se", "std.all")]))
    }
    if (length(fits) > 1) {
      test <- lavTestLRT(fits[[length(fits) - 1]], fit)
      difference_rows <- rbind(difference_rows, data.frame(data = name, level = level, d_chisq = test[2, "Chisq diff"],
                                                           d_df = test[2, "Df diff"], d_p = test[2, "Pr(>Chisq)"]))
    }
  }
}
# Nested models of one group.
one <- list(
  loadings = c("visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6", "visual =~ x1 + a*x2 + a*x3\ntextual =~ x4 + b*x5 + b*x6"),
  residual = c("visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nx1 ~~ x4", "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6"),
  path = c("visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\ntextual ~ visual\nspeed ~ visual + textual",
           "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\ntextual ~ visual\nspeed ~ textual"))
for (name in names(one)) {
  both <- lapply(one[[name]], function(syntax) reach_ordinal(syntax, hs))
  test <- lavTestLRT(both[[1]], both[[2]])
  difference_rows <- rbind(difference_rows, data.frame(data = "one", level = name, d_chisq = test[2, "Chisq diff"],
                                                       d_df = test[2, "Df diff"], d_p = test[2, "Pr(>Chisq)"]))
}
# One path equal in both groups, loadings equal: the restriction itself instead of the delta method's.
paths <- lapply(c("", "c(b, b)*"), function(label)
  run("hs", paste0(written("hs", "metric"), "\ntextual ~ visual\nspeed ~ ", label, "visual\ntextual ~~ speed")))
test <- lavTestLRT(paths[[1]], paths[[2]], method = "satorra.2000", A.method = "exact")
difference_rows <- rbind(difference_rows, data.frame(data = "hs", level = "path", d_chisq = test[2, "Chisq diff"],
                                                     d_df = test[2, "Df diff"], d_p = test[2, "Pr(>Chisq)"]))
write_table(fit_rows, "groups_ordinal_fit")
write_table(parameter_rows, "groups_ordinal_parameters")
write_table(difference_rows, "groups_ordinal_difference")
