# lavaan's parameter tables of models in which a label is shared by a fixed number, for tests/test_sem_model.py.
# Which parameters are free does not depend on the data.  From the root of the repository: Rscript tests/reference/labels.R
source("tests/reference/lavaan.R")
set.seed(1)
f <- rnorm(300)
g <- 0.5 * f + rnorm(300)
data <- data.frame(x1 = f, x2 = 0.8 * f, x3 = 0.7 * f, y1 = g, y2 = 0.7 * g, y3 = 0.9 * g) + rnorm(1800)
models <- c(
  marker = "F =~ a*x1 + a*x2 + x3",
  other = "F =~ a*x1 + x2 + x3\nG =~ y1 + a*y2 + y3\nG ~ F",
  path = "F =~ a*x1 + x2 + x3\nG =~ y1 + y2 + y3\nG ~ a*F",
  variance = "F =~ x1 + x2 + x3\nF ~~ a*F\nG =~ a*y1 + y2 + y3",
  free = "F =~ NA*x1 + a*x2 + a*x3\nF ~~ 1*F")
tables <- lapply(names(models), function(name) {
  fit <- sem(models[[name]], data)
  table <- subset(parTable(fit), op != "==", c(lhs, op, rhs, free, ustart))
  data.frame(model = name, syntax = models[[name]], df = fitMeasures(fit, "df")[[1]], table)
})
write_csv(do.call(rbind, tables), "labels")
