# Power of the tests of close and not-close fit, and the respondents they need (semTools).
# Rscript tests/reference/power.R
suppressMessages(library(semTools))
options(warn = -1)  # pchisq warns of its precision in tails far beyond any power asked for here
source("tests/reference/versions.R")
grid <- expand.grid(df = c(1, 5, 24, 125, 625), n = c(60, 200, 1066), pair = 1:3, alpha = c(.05, .01), groups = c(1, 2))
null <- c(.05, .05, 0)[grid$pair]; true <- c(.08, .01, .05)[grid$pair]
grid$rmsea0 <- null; grid$rmsea1 <- true; grid$pair <- NULL
grid$power <- mapply(findRMSEApower, null, true, grid$df, grid$n, grid$alpha, grid$groups)
grid$power <- sprintf("%.15g", grid$power)
write_csv(grid, "power_rmsea", quote = FALSE)
size <- expand.grid(df = c(5, 24, 125, 377, 625), pair = 1:3, power = c(.8, .95))
size$rmsea0 <- c(.05, .05, 0)[size$pair]; size$rmsea1 <- c(.08, .01, .05)[size$pair]; size$pair <- NULL
# findRMSEAsamplesize looks at 5:500, 505:1000, ... and so passes over 501:504; its rule is applied to every n here
size$n <- mapply(function(a, b, d, p) (5:3000)[which(findRMSEApower(a, b, d, 5:3000) > p)[1]],
                 size$rmsea0, size$rmsea1, size$df, size$power)
size$findRMSEAsamplesize <- mapply(findRMSEAsamplesize, size$rmsea0, size$rmsea1, size$df, size$power)
write_csv(size, "power_n", quote = FALSE)
