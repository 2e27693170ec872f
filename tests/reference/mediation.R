# Structural models and their indirect effects, as lavaan gives them, for tests/test_structure.py and tests/test_mediation.py.
# Run from the root of the repository:  Rscript tests/reference/mediation.R
# Writes beside itself mediation_{parameters,r2,fit,compare,scores,f2,weights,bollen_stine}.csv and pd.csv.
source("tests/reference/lavaan.R")
options(digits = 15)
mobi <- customers()

effects <- "
PERQ_PERV_CUSA := a*b
PERQ_PERV_CUSA_CUSL := a*b*d
PERQ_CUSA_CUSL := c*d
PERV_CUSA_CUSL := b*d
total_PERQ_CUSA := a*b + c
indirect_PERQ_CUSL := a*b*d + c*d
contrast := c*d - a*b*d
"
models <- list(
  main = paste0(four, "\n", "PERV ~ a*PERQ\nCUSA ~ b*PERV + c*PERQ\nCUSL ~ d*CUSA\n", effects),
  full = paste0(four, "\n", "PERV ~ PERQ\nCUSA ~ PERV\nCUSL ~ CUSA"),                      # full mediation, nested in main
  wide = paste0(four, "\n", "PERV ~ PERQ\nCUSA ~ PERV + PERQ\nCUSL ~ CUSA + PERQ"),        # main is nested in it
  turn = paste0(four, "\n", "CUSA ~ PERQ\nPERV ~ CUSA\nCUSL ~ CUSA + PERV"),               # same df as main, not nested
  politics = "
    ind60 =~ x1 + x2 + x3
    dem60 =~ y1 + y2 + y3 + y4
    dem65 =~ y5 + y6 + y7 + y8
    dem60 ~ a*ind60
    dem65 ~ c*ind60 + b*dem60
    y1 ~~ y5
    y2 ~~ y4 + y6
    y3 ~~ y7
    y4 ~~ y8
    y6 ~~ y8
    ind60_dem60_dem65 := a*b
    total := a*b + c
    difference := a*b - c
  "
)
fits <- lapply(names(models), function(name) reach(models[[name]], if (name == "politics") PoliticalDemocracy else mobi))
names(fits) <- names(models)
every <- function(make) do.call(rbind, lapply(names(fits), function(name) cbind(model = name, make(fits[[name]]))))

write_table(every(function(fit) {
  raw <- parameterEstimates(fit)
  # delta method on the standardised scale: SE of std.all
  std <- standardizedSolution(fit)
  cbind(raw[, c("lhs", "op", "rhs", "est", "se", "z", "pvalue", "ci.lower", "ci.upper")],
        std = std$est.std, std_se = std$se, std_low = std$ci.lower, std_high = std$ci.upper)
}), "mediation_parameters")
write_table(every(function(fit) as.data.frame(as.list(fitMeasures(fit, c("chisq", "df", "pvalue", "npar", "aic", "bic"))))), "mediation_fit")
write_table(every(function(fit) { r <- lavInspect(fit, "rsquare"); data.frame(variable = names(r), r2 = unname(r)) }), "mediation_r2")

difference <- function(small, large) {
  table <- lavTestLRT(fits[[large]], fits[[small]])
  data.frame(model = c(large, small), chisq = table$Chisq, df = table$Df, aic = table$AIC, bic = table$BIC,
             d_chisq = table$`Chisq diff`, d_df = table$`Df diff`, d_p = table$`Pr(>Chisq)`)
}
write_table(rbind(cbind(pair = "main-full", difference("full", "main")), cbind(pair = "wide-main", difference("main", "wide"))),
     "mediation_compare")
scores <- as.data.frame(lavPredict(fits$main, method = "regression"))
write_table(cbind(row = seq_len(nrow(scores)), scores), "mediation_scores")

# f² of every path of the main model, from the implied covariances of the latent variables
phi <- lavInspect(fits$main, "cov.lv")
explained <- function(y, x) if (length(x)) drop(phi[y, x] %*% solve(phi[x, x], phi[x, y])) / phi[y, y] else 0
paths <- list(c("PERV", "PERQ"), c("CUSA", "PERV"), c("CUSA", "PERQ"), c("CUSL", "CUSA"))
into <- list(PERV = "PERQ", CUSA = c("PERV", "PERQ"), CUSL = "CUSA")
write_table(do.call(rbind, lapply(paths, function(path) {
  full <- explained(path[1], into[[path[1]]])
  without <- explained(path[1], setdiff(into[[path[1]]], path[2]))
  data.frame(outcome = path[1], predictor = path[2], r2 = full, r2_without = without, f2 = (full - without) / (1 - full))
})), "mediation_f2")

# Johnson's relative weights of item means, written out from the eigen decomposition
scale <- function(code, k) rowMeans(mobi[paste0(code, seq_len(k))])
x <- cbind(IMAG = scale("IMAG", 5), CUEX = scale("CUEX", 3), PERQ = scale("PERQ", 7), PERV = scale("PERV", 2))
y <- scale("CUSA", 3)
e <- eigen(cor(x))
root <- e$vectors %*% diag(sqrt(e$values)) %*% t(e$vectors)
weights <- drop(root^2 %*% solve(root, cor(x, y))^2)
write_table(data.frame(predictor = colnames(x), weight = weights, r2 = summary(lm(y ~ x))$r.squared), "mediation_weights")

# Bollen-Stine bootstrap of PoliticalDemocracy: the p value and the distribution of chi-square under the model
set.seed(2026)
drawn <- suppressWarnings(bootstrapLavaan(sem(models$politics, PoliticalDemocracy), R = 1000, type = "bollen.stine",
                                          FUN = fitMeasures, fit.measures = "chisq"))
write_table(data.frame(p = mean(drawn >= fitMeasures(fits$politics, "chisq")), mean = mean(drawn), sd = sd(drawn), draws = length(drawn)),
     "mediation_bollen_stine")
