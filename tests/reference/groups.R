# lavaan's numbers for tests/test_sem_invariance.py, tests/test_group_paths.py, tests/test_groups.py and
# tests/test_moderation.py.  From the root of the repository:
#   Rscript tests/reference/groups.R
suppressMessages(library(lavaan))
source("tests/reference/versions.R")
write_out <- function(rows, name) {
  rows[] <- lapply(rows, function(x) if (is.double(x)) sprintf("%.15g", x) else x)
  write_csv(rows, paste0("groups_", name))
}
options(digits = 15)
hs <- HolzingerSwineford1939
bfi <- psych::bfi
bfi <- bfi[complete.cases(bfi[, 1:25]), ]
holes <- read_csv("hs_missing")
three <- "visual =~ x1 + x2 + x3
textual =~ x4 + x5 + x6
speed =~ x7 + x8 + x9"
five <- "agree =~ A1 + A2 + A3 + A4 + A5
consc =~ C1 + C2 + C3 + C4 + C5
extra =~ E1 + E2 + E3 + E4 + E5
neuro =~ N1 + N2 + N3 + N4 + N5
open =~ O1 + O2 + O3 + O4 + O5"
data <- list(hs = hs, bfi = bfi, age = within(bfi, age <- cut(age, c(0, 20, 30, 100), c("a", "b", "c"))), holes = holes)
syntax <- list(hs = three, bfi = five, age = five, holes = three)
groups <- list(hs = "school", bfi = "gender", age = "age", holes = "school")
labels <- list(hs = c("Grant-White", "Pasteur"), bfi = c("1", "2"), age = c("a", "b", "c"), holes = c("Grant-White", "Pasteur"))
equal <- list(configural = "", metric = "loadings", scalar = c("loadings", "intercepts"),
              strict = c("loadings", "intercepts", "residuals"))
# nlminb stops short of the optimum; Newton steps with lavaan's own gradient and information reach it.
run <- function(name, level, ..., model = syntax[[name]], rows = data[[name]]) {
  arguments <- list(model, rows, group = groups[[name]], group.label = labels[[name]], group.equal = equal[[level]],
                    meanstructure = TRUE, em.h1.tol = 1e-11, em.h1.iter.max = 20000L, ...)
  quick <- list(se = "none", test = "none", baseline = FALSE, h1 = FALSE)
  fit <- suppressWarnings(do.call("sem", c(arguments, quick)))
  for (i in 1:8) {
    table <- parTable(fit)
    jacobian <- fit@Model@con.jac
    free <- if (nrow(jacobian)) { q <- qr(t(jacobian)); qr.Q(q, complete = TRUE)[, -seq_len(q$rank), drop = FALSE] } else
      diag(lavInspect(fit, "npar"))
    gradient <- as.numeric(t(free) %*% lavTech(fit, "gradient"))
    if (max(abs(gradient)) < 1e-11) break
    step <- -free %*% solve(t(free) %*% lavTech(fit, "information.observed") %*% free, gradient)
    at <- table$free > 0
    table$est[at] <- table$est[at] + step[table$free[at]]
    arguments <- c(arguments[!names(arguments) %in% c("start", "optim.method", "optim.force.converged")],
                   list(start = table, optim.method = "none", optim.force.converged = TRUE))
    fit <- suppressWarnings(do.call("sem", c(arguments, quick)))
  }
  suppressWarnings(do.call("sem", arguments))
}

measures <- c("npar", "chisq", "df", "pvalue", "cfi", "tli", "rmsea", "srmr", "aic", "bic", "chisq.scaled", "cfi.robust", "rmsea.robust")
fit_rows <- difference_rows <- score_rows <- mean_rows <- NULL
for (name in c("hs", "bfi", "age", "holes")) for (estimator in c("ML", "MLR")) {
  if (name == "age" && estimator == "MLR") next
  fits <- lapply(names(equal), function(level) run(name, level, estimator = estimator,
                                                   missing = if (name == "holes") "ml" else "listwise"))
  names(fits) <- names(equal)
  for (level in names(fits)) {
    value <- fitMeasures(fits[[level]])
    value <- value[intersect(measures, names(value))]
    fit_rows <- rbind(fit_rows, data.frame(data = name, estimator = estimator, level = level, measure = names(value), value = as.numeric(value)))
  }
  methods <- if (estimator == "ML") "default" else if (name == "holes") "satorra.bentler.2001" else c("satorra.bentler.2001", "satorra.2000")
  for (method in methods) for (at in 2:4) {
    test <- lavTestLRT(fits[[at - 1]], fits[[at]], method = method)
    difference_rows <- rbind(difference_rows, data.frame(data = name, estimator = estimator, level = names(fits)[at], method = method,
      d_chisq = test[2, "Chisq diff"], d_df = test[2, "Df diff"], d_p = test[2, "Pr(>Chisq)"]))
  }
  latent <- parameterEstimates(fits$scalar)
  latent <- latent[latent$op == "~1" & latent$lhs %in% lavNames(fits$scalar, "lv") & latent$group > 1, ]
  mean_rows <- rbind(mean_rows, data.frame(data = name, estimator = estimator, construct = latent$lhs, group = latent$group - 1,
                                           est = latent$est, se = latent$se, z = latent$z, p = latent$pvalue))
  if (estimator == "ML" && name %in% c("hs", "bfi")) for (level in c("metric", "scalar", "strict")) for (unit in c("marker", "std")) {
    fit <- run(name, level, std.lv = unit == "std")
    test <- lavTestScore(fit, epc = FALSE)$uni
    table <- parTable(fit)
    row <- table[match(test$rhs, table$plabel), ]
    score_rows <- rbind(score_rows, data.frame(data = name, level = level, unit = unit, lhs = row$lhs, op = row$op, rhs = row$rhs,
                                               mi = test$X2, p = test$p.value))
  }
}
write_out(fit_rows, "fit")
write_out(difference_rows, "difference")
write_out(score_rows, "score")

# Effect sizes of the latent means, and expected differences checked by freeing.
effect <- "visual =~ x1 + x2 + x3
textual =~ x4 + x5 + x6
speed =~ x7 + x8 + x9
visual ~ c(0, NA)*1 + c(z1, m1)*1
textual ~ c(0, NA)*1 + c(z2, m2)*1
speed ~ c(0, NA)*1 + c(z3, m3)*1
visual ~~ c(a1, b1)*visual
textual ~~ c(a2, b2)*textual
speed ~~ c(a3, b3)*speed
"
n <- table(factor(hs$school, labels$hs))
for (i in 1:3) effect <- paste0(effect, sprintf("d%d := m%d / sqrt((%d*a%d + %d*b%d) / %d)\n", i, i, n[1], i, n[2], i, sum(n)))
for (estimator in c("ML", "MLR")) {
  size <- parameterEstimates(run("hs", "scalar", model = effect, estimator = estimator))
  size <- size[size$op == ":=", ]
  mean_rows <- rbind(mean_rows, data.frame(data = "hs_d", estimator = estimator, construct = c("visual", "textual", "speed"), group = 1,
                                           est = size$est, se = size$se, z = size$z, p = size$pvalue))
}
write_out(mean_rows, "means")

# Second-order model, each step written out.
second <- function(level) {
  has <- function(...) level %in% c(...)
  v <- list(visual = c("x1", "x2", "x3"), textual = c("x4", "x5", "x6"), speed = c("x7", "x8", "x9"))
  lines <- NULL
  for (f in names(v)) {
    tail <- v[[f]][-1]
    lines <- c(lines, paste0(f, " =~ ", v[[f]][1], paste0(" + ", if (has("configural")) "" else paste0("c(l_", tail, ", l_", tail, ")*"), tail, collapse = "")))
  }
  tail <- c("textual", "speed")
  lines <- c(lines, paste0("g =~ visual", paste0(" + ", if (has("configural", "metric")) "" else paste0("c(g_", tail, ", g_", tail, ")*"), tail, collapse = "")))
  if (has("scalar", "scalar_second", "strict_second", "strict")) {
    lines <- c(lines, sprintf("%s ~ c(i_%s, i_%s)*1", unlist(v), unlist(v), unlist(v)))
    free <- if (has("scalar")) c("c(0, NA)", "c(0, 0)") else c("c(0, 0)", "c(0, NA)")
    lines <- c(lines, sprintf("%s ~ %s*1", names(v), free[1]), sprintf("g ~ %s*1", free[2]))
  }
  if (has("strict_second", "strict")) lines <- c(lines, sprintf("%s ~~ c(d_%s, d_%s)*%s", names(v), names(v), names(v), names(v)))
  if (has("strict")) lines <- c(lines, sprintf("%s ~~ c(r_%s, r_%s)*%s", unlist(v), unlist(v), unlist(v), unlist(v)))
  paste(lines, collapse = "\n")
}
second_rows <- NULL
for (level in c("configural", "metric", "metric_second", "scalar", "scalar_second", "strict_second", "strict")) {
  value <- fitMeasures(run("hs", "configural", model = second(level)))[c("chisq", "df", "cfi", "rmsea", "srmr")]
  second_rows <- rbind(second_rows, data.frame(level = level, measure = names(value), value = as.numeric(value)))
}
write_out(second_rows, "second")

# Partial invariance with three groups: freeing one group's intercept.
free <- run("age", "scalar", model = paste0(five, "\nN4 ~ c(i, j, i)*1"))
value <- fitMeasures(free)[c("chisq", "df", "cfi", "rmsea", "srmr")]
write_out(data.frame(measure = names(value), value = as.numeric(value)), "partial")

# Paths: loadings equal, every path free; Wald, likelihood ratio, indirect effect and its difference.
paths <- "visual =~ x1 + x2 + x3
textual =~ x4 + x5 + x6
speed =~ x7 + x8 + x9
textual ~ c(a1, a2)*visual
speed ~ c(b1, b2)*textual + c(c1, c2)*visual
i1 := a1*b1
i2 := a2*b2
da := a1 - a2
db := b1 - b2
dc := c1 - c2
di := i1 - i2"
path_rows <- test_rows <- NULL
for (estimator in c("ML", "MLR")) {
  fit <- run("hs", "metric", model = paths, estimator = estimator)
  est <- parameterEstimates(fit)
  std <- standardizedSolution(fit)$est.std
  keep <- est$op %in% c("~", ":=")
  path_rows <- rbind(path_rows, data.frame(estimator = estimator, lhs = est$lhs, op = est$op, rhs = est$rhs, group = est$group,
    est = est$est, se = est$se, p = est$pvalue, std = std)[keep, ])
  for (at in 1:3) {
    letter <- c("a", "b", "c")[at]
    wald <- lavTestWald(fit, sprintf("%s1 == %s2", letter, letter))
    same <- run("hs", "metric", model = gsub(sprintf("c\\(%s1, %s2\\)", letter, letter), sprintf("c(%s, %s)", letter, letter),
                                            sub("\ni1 :=.*", "", paths)), estimator = estimator)
    ratio <- lavTestLRT(fit, same, method = if (estimator == "ML") "default" else "satorra.2000", A.method = "exact")
    test_rows <- rbind(test_rows, data.frame(estimator = estimator, path = letter, wald = wald$stat, df = wald$df, p = wald$p.value,
      lr_chisq = ratio[2, "Chisq diff"], lr_p = ratio[2, "Pr(>Chisq)"]))
  }
}
write_out(path_rows, "paths")
write_out(test_rows, "path_tests")

# The ladder in random groups: labels and lavaan's χ² and CFI.
set.seed(1939)
draws <- replicate(6, sample(hs$school))
permuted <- NULL
for (draw in 1:6) for (level in names(equal)) {
  data$hs$school <- draws[, draw]
  value <- fitMeasures(run("hs", level))[c("chisq", "cfi")]
  permuted <- rbind(permuted, data.frame(draw = draw, level = level, chisq = value[[1]], cfi = value[[2]]))
}
write_csv(ifelse(draws == "Pasteur", 1L, 0L), "groups_labels", source = "drawn here")
write_out(permuted, "permuted")

# Means of groups: Welch, Games and Howell, Hedges' g.
test <- t.test(x1 ~ factor(school, labels$hs), hs)
n1 <- n[[1]]; n2 <- n[[2]]
x <- split(hs$x1, factor(hs$school, labels$hs))
pooled <- sqrt(((n1 - 1) * var(x[[1]]) + (n2 - 1) * var(x[[2]])) / (n1 + n2 - 2))
j <- exp(lgamma((n1 + n2 - 2) / 2) - log(sqrt((n1 + n2 - 2) / 2)) - lgamma((n1 + n2 - 3) / 2))
means <- data.frame(a = "Grant-White", b = "Pasteur", difference = unname(test$estimate[1] - test$estimate[2]), t = unname(test$statistic),
                    df = unname(test$parameter), p = test$p.value, d = (mean(x[[1]]) - mean(x[[2]])) / pooled, j = j)
three_groups <- split(hs$x4, cut(hs$ageyr, c(0, 12, 13, 20), c("a", "b", "c")))
for (pair in combn(names(three_groups), 2, simplify = FALSE)) {
  y <- three_groups[[pair[1]]]; z <- three_groups[[pair[2]]]
  part <- c(var(y) / length(y), var(z) / length(z))
  t <- (mean(y) - mean(z)) / sqrt(sum(part))
  df <- sum(part)^2 / sum(part^2 / (c(length(y), length(z)) - 1))
  means <- rbind(means, data.frame(a = pair[1], b = pair[2], difference = mean(y) - mean(z), t = t, df = df,
    p = ptukey(abs(t) * sqrt(2), 3, df, lower.tail = FALSE), d = NA, j = NA))
}
write_out(means, "group_means")

# Interactions: least squares with HC3 and with CR1 by cluster.
robust <- function(fit, cluster = NULL) {
  x <- model.matrix(fit); e <- residuals(fit); bread <- solve(crossprod(x))
  if (is.null(cluster)) return(bread %*% crossprod(x * (e / (1 - hatvalues(fit)))) %*% bread)
  score <- rowsum(x * e, cluster); g <- nrow(score)
  bread %*% crossprod(score) %*% bread * g / (g - 1) * (nrow(x) - 1) / (nrow(x) - ncol(x))
}
hs$c4 <- hs$x4 - mean(hs$x4); hs$c2 <- hs$x2 - mean(hs$x2)
hs$age <- cut(hs$ageyr, c(0, 12, 13, 20), c("a", "b", "c"))
number <- lm(x1 ~ c4 * c2, hs)
category <- lm(x1 ~ c4 * age, hs)
rows <- NULL
for (kind in c("HC3", "CR1")) {
  cluster <- if (kind == "CR1") hs$agemo else NULL
  df <- if (kind == "CR1") length(unique(hs$agemo)) - 1 else 301 - 4
  v <- robust(number, cluster)
  b <- coef(number)
  for (at in c(-1, 0, 1)) {
    pick <- c(0, 1, 0, at * sd(hs$x2))
    rows <- rbind(rows, data.frame(kind = kind, what = paste("slope", at), est = sum(pick * b), se = sqrt(c(pick %*% v %*% pick)), p = NA))
  }
  rows <- rbind(rows, data.frame(kind = kind, what = "number", est = b[[4]], se = sqrt(v[4, 4]), p = 2 * pt(-abs(b[[4]] / sqrt(v[4, 4])), df)))
  v <- robust(category, cluster)
  b <- coef(category)
  df <- if (kind == "CR1") df else 301 - 6
  f <- c(b[5:6] %*% solve(v[5:6, 5:6]) %*% b[5:6]) / 2
  rows <- rbind(rows, data.frame(kind = kind, what = "category", est = f, se = NA, p = pf(f, 2, df, lower.tail = FALSE)))
  rows <- rbind(rows, data.frame(kind = kind, what = "slope b", est = b[[2]] + b[[5]], se = sqrt(v[2, 2] + v[5, 5] + 2 * v[2, 5]), p = NA))
}
rows <- rbind(rows, data.frame(kind = "lm", what = "gain", est = summary(category)$r.squared - summary(lm(x1 ~ c4 + age, hs))$r.squared, se = NA, p = NA))
welch <- oneway.test(x4 ~ age, hs)
rows <- rbind(rows, data.frame(kind = "welch", what = "x4 by age", est = unname(welch$statistic), se = unname(welch$parameter[2]), p = welch$p.value))
write_out(rows, "moderation")
