# Writes factors_polychoric.csv beside itself: psych's principal axes, taken to their end (where minres ends too), of lavaan's
# polychoric correlations of the 25 bfi items, rotated by GPArotation's oblimin.  Run from the root: Rscript tests/reference/factors_polychoric.R
suppressMessages({library(lavaan); library(psych); library(GPArotation)})
d <- na.omit(psych::bfi[, 1:25])
r <- unclass(lavCor(d, ordered = names(d)))
l <- unclass(suppressWarnings(fa(r, 5, n.obs = nrow(d), fm = "pa", rotate = "none", min.err = 1e-12, max.iter = 5000))$loadings)
s <- oblimin(l %*% diag(ifelse(colSums(l) < 0, -1, 1)), eps = 1e-7, maxit = 3000)
l <- unclass(s$loadings)
sign <- ifelse(colSums(l) < 0, -1, 1)
order <- order(diag(s$Phi %*% t(l) %*% l), decreasing = TRUE)
out <- data.frame(names(d), format((l %*% diag(sign))[, order], digits = 16))
names(out) <- c("item", paste0("F", 1:5))
write.csv(out, "tests/reference/factors_polychoric.csv", row.names = FALSE, quote = FALSE)
