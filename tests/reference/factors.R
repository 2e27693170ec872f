# Writes factors.csv beside itself: psych's factorability, eigenvalues, MAP and exploratory factors of three data sets.
# Run from the root of the repository: Rscript tests/reference/factors.R
#
# Each step is taken to its end (rotation.R).  What psych::fa prints by default is written too, as "psych" (with the
# rotation taken to its end).
source("tests/reference/lavaan.R")
source("tests/reference/rotation.R")
sets <- list(hs = read_csv("hs")[, paste0("x", 1:9)], ecsi = customers(), bfi = na.omit(psych::bfi[, 1:25]))
number <- c(hs = 3, ecsi = 4, bfi = 5)

rows <- list()
add <- function(set, table, method, rotation, row, column, value)
  rows[[length(rows) + 1]] <<- data.frame(set, table, method, rotation, row, column, value = format(as.numeric(value), digits = 16))

for (set in names(sets)) {
  d <- sets[[set]]; r <- cor(d); n <- nrow(d); m <- number[[set]]
  k <- KMO(r); b <- cortest.bartlett(r, n)
  add(set, "statistic", "", "", "kmo", "", k$MSA)
  add(set, "statistic", "", "", "bartlett_chisq", "", b$chisq)
  add(set, "statistic", "", "", "bartlett_df", "", b$df)
  add(set, "statistic", "", "", "bartlett_p", "", b$p.value)
  for (item in names(d)) add(set, "kmo", "", "", item, "", k$MSAi[[item]])
  sink(tempfile()); pdf(NULL)
  map <- suppressWarnings(vss(d, n = ncol(d) - 1, plot = FALSE))$map
  set.seed(1)
  par <- suppressWarnings(fa.parallel(d, fa = "both", n.iter = 2, plot = FALSE))
  dev.off(); sink()
  for (j in seq_len(ncol(d) - 1)) add(set, "map", "", "", j, "", map[[j]])
  for (j in seq_along(par$pc.values)) {
    add(set, "pca", "", "", j, "", par$pc.values[[j]])
    add(set, "fa", "", "", j, "", par$fa.values[[j]])
  }
  for (method in c("minres", "ml", "pa")) {
    l <- extracted(d, m, method)
    rest <- (r - l %*% t(l))[lower.tri(r)]
    add(set, "rmsr", method, "", "", "", sqrt(mean(rest^2)))
    for (rotation in c("none", "oblimin", "promax", "varimax", if (method == "minres") c("oblimin_kaiser", "varimax_raw"))) {
      s <- ordered(rotated(l, rotation))
      for (j in seq_len(m)) {
        for (i in seq_along(names(d))) add(set, "loadings", method, rotation, names(d)[i], j, s$loadings[i, j])
        for (i in seq_len(m)) add(set, "phi", method, rotation, i, j, s$Phi[i, j])
      }
    }
    if (method != "pa" && set != "ecsi") {
      p <- suppressWarnings(fa(d, m, fm = method, rotate = "none"))
      q <- suppressWarnings(fa(d, m, fm = method, rotate = "oblimin", eps = 1e-7, maxit = 3000))
      for (i in seq_along(names(d))) for (j in seq_len(m)) {
        add(set, "psych", method, "none", names(d)[i], j, p$loadings[i, j])
        add(set, "psych", method, "oblimin", names(d)[i], j, q$loadings[i, j])
      }
    }
  }
}
write_csv(do.call(rbind, rows), "factors", quote = FALSE)
