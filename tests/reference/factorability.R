# Writes factorability.csv (set, table, row, value) beside itself: psych's eigenvalues with squared multiple correlations on
# the diagonal, and KMO, Bartlett's test and MAP of lavaan's polychoric correlations of the 25 bfi items.
# Run from the root of the repository: Rscript tests/reference/factorability.R
source("tests/reference/lavaan.R")
suppressPackageStartupMessages(library(psych))
bfi <- na.omit(psych::bfi[, 1:25])
sets <- list(hs = HolzingerSwineford1939[paste0("x", 1:9)], ecsi = customers(), bfi = bfi)

out <- NULL
add <- function(set, table, row, value) out <<- rbind(out, data.frame(set, table, row = as.character(row), value = as.numeric(value)))
quiet <- function(expr) { pdf(NULL); sink(tempfile()); on.exit({ sink(); dev.off() }); suppressWarnings(expr) }
for (set in names(sets)) {
  values <- quiet(fa.parallel(sets[[set]], fa = "both", SMC = TRUE, n.iter = 2, plot = FALSE))$fa.values
  add(set, "smc", seq_along(values), values)
}
r <- unclass(lavCor(bfi, ordered = names(bfi)))
k <- KMO(r); b <- cortest.bartlett(r, nrow(bfi))
add("bfi", "kmo", c("", names(k$MSAi)), c(k$MSA, k$MSAi))
add("bfi", "bartlett", c("chisq", "df"), c(b$chisq, b$df))
map <- quiet(vss(r, n = 24, n.obs = nrow(bfi), plot = FALSE))$map
add("bfi", "map", seq_along(map), map)
write_table(out, "factorability")
