# Writes factors_polychoric.csv beside itself: psych's principal axes, taken to their end (where minres ends too), of lavaan's
# polychoric correlations of the 25 bfi items, rotated by GPArotation's oblimin.  Run from the root: Rscript tests/reference/factors_polychoric.R
source("tests/reference/lavaan.R")
source("tests/reference/rotation.R")
d <- na.omit(psych::bfi[, 1:25])
r <- unclass(lavCor(d, ordered = names(d)))
s <- ordered(rotated(extracted(r, 5, "pa", n.obs = nrow(d)), "oblimin"))
out <- data.frame(names(d), format(s$loadings, digits = 16))
names(out) <- c("item", paste0("F", 1:5))
write_csv(out, "factors_polychoric", quote = FALSE)
