# Exploratory factors for the scripts beside this one.  psych::fa stops early by default (principal axes after 50 steps or a
# change of .001, varimax at a relative change of 1e-5), so each step is taken to its end by the function psych itself calls.
suppressMessages({library(psych); library(GPArotation)})

extracted <- function(d, m, method, ...) {
  if (method == "ml") {
    l <- unclass(factanal(d, m, rotation = "none", control = list(opt = list(factr = 10, maxit = 10000)))$loadings)
  } else {  # iterated to the end, principal axes arrive at the minimum of minres
    l <- unclass(suppressWarnings(fa(d, m, fm = "pa", rotate = "none", min.err = 1e-12, max.iter = 5000, ...))$loadings)
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
