# What tests/test_common_method.py compares with: Lindell and Whitney's partial correlations and lavaan's marker models.
# Run from the root of the repository: Rscript tests/reference/marker.R
# Writes marker.csv (set, check, statistic, value) beside itself.
source("tests/reference/lavaan.R")
bfi <- read_csv("bfi")
scales <- list(C = paste0("C", 1:3), E = paste0("E", 3:5), N = paste0("N", 1:5))
markers <- list(scale = c("O1", "O3", "O4"), question = "age")

out <- NULL
keep <- function(set, check, statistic, value)
  out <<- rbind(out, data.frame(set, check, statistic, value = as.numeric(value)))
latent <- function(fit) lavInspect(fit, "cor.lv")[names(scales), names(scales)]

for (set in names(markers)) {
  marker <- markers[[set]]
  d <- na.omit(bfi[c(unlist(scales), marker)])
  n <- nrow(d)

  # Lindell and Whitney (2001): the second lowest correlation of the marker, partialled out of those between scale means
  score <- sapply(scales, function(items) rowMeans(d[items]))
  lowest <- sort(abs(cor(score, rowMeans(d[marker]))))
  pairs <- combn(ncol(score), 2, function(p) cor.test(score[, p[1]], score[, p[2]]), simplify = FALSE)
  r <- sapply(pairs, function(test) test$estimate)
  a <- (r - lowest[2]) / (1 - lowest[2])
  keep(set, "marker", "n", n)
  keep(set, "marker", "r_lowest", lowest[1])
  keep(set, "marker", "r_second", lowest[2])
  keep(set, "marker", "pairs", length(r))
  keep(set, "marker", "significant", sum(sapply(pairs, function(test) test$p.value) < .05))
  keep(set, "marker", "significant_adjusted", sum(2 * pt(-abs(a * sqrt((n - 3) / (1 - a^2))), n - 3) < .05))

  # Williams, Hartman and Cavazotte (2010): marker free; its part fixed and apart; equal loadings of all items on it
  z <- as.data.frame(scale(d) * sqrt(n / (n - 1)))  # variances of 1 with divisor n
  fitted_model <- function(...) reach(paste(c(...), collapse = "\n"), z)
  substantive <- paste(names(scales), "=~", sapply(scales, paste, collapse = " + "))
  free <- fitted_model(substantive, paste("M =~", paste(marker, collapse = " + ")))
  est <- parameterEstimates(free)
  value <- function(lhs, op, rhs) sprintf("%.15f", est$est[est$lhs == lhs & est$op == op & est$rhs == rhs])
  fixed <- c(paste0("M ~~ ", value("M", "~~", "M"), "*M"), paste("M ~~ 0*", names(scales)),
             sapply(marker, function(m) paste0(m, " ~~ ", value(m, "~~", m), "*", m)))
  own <- paste("M =~", paste(sapply(marker, function(m) paste0(value("M", "=~", m), "*", m)), collapse = " + "))
  baseline <- fitted_model(substantive, own, fixed)
  equal <- fitted_model(substantive, fixed, paste(own, "+", paste0("equal*", unlist(scales), collapse = " + ")))
  keep(set, "marker_factor", "loading", coef(equal)["equal"] * sqrt(as.numeric(value("M", "~~", "M"))))
  keep(set, "marker_factor", "d_chisq", fitMeasures(baseline, "chisq") - fitMeasures(equal, "chisq"))
  keep(set, "marker_factor", "d_df", fitMeasures(baseline, "df") - fitMeasures(equal, "df"))
  keep(set, "marker_factor", "largest_change", max(abs(latent(equal) - latent(baseline))))
}
write_table(out, "marker")
