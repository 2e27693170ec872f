# Refits of lavaan on given resamples: where its default stop leaves it, and polished to the optimum.
# Run from the root of the project: Rscript tests/reference/bootstrap.R
# Writes beside itself: bootstrap_<model>_rows.csv (one line a draw: the row numbers, from 1) and
# bootstrap_<model>_estimates.csv (one line a draw and stop: converged, largest |dF/dtheta|, every estimate).
source("tests/reference/lavaan.R")
mobi <- customers()
democracy <- gsub("[abc]\\*", "", bollen)
full <- "IMAG =~ IMAG1 + IMAG2 + IMAG3 + IMAG4 + IMAG5
CUEX =~ CUEX1 + CUEX2 + CUEX3
PERQ =~ PERQ1 + PERQ2 + PERQ3 + PERQ4 + PERQ5 + PERQ6 + PERQ7
PERV =~ PERV1 + PERV2
CUSA =~ CUSA1 + CUSA2 + CUSA3
COMP =~ CUSCO
CUSL =~ CUSL1 + CUSL2 + CUSL3
CUEX ~ IMAG
PERQ ~ CUEX
PERV ~ CUEX + PERQ
CUSA ~ IMAG + CUEX + PERQ + PERV
COMP ~ CUSA
CUSL ~ IMAG + CUSA + COMP"

line <- function(found, stop, draw, converged) {
  table <- parTable(found)
  table <- table[table$free > 0, ]
  values <- setNames(as.list(sprintf("%.15g", table$est)), paste(table$lhs, table$op, table$rhs))
  data.frame(stop = stop, draw = draw, converged = as.integer(converged),
             gradient = sprintf("%.3g", max(abs(2 * lavTech(found, "gradient")))), values, check.names = FALSE)
}

refit <- function(name, model, data, draws) {
  set.seed(2026)
  n <- nrow(data)
  rows <- t(replicate(draws, sample.int(n, n, replace = TRUE)))
  write_csv(rows, paste0("bootstrap_", name, "_rows"), col.names = FALSE)
  out <- list()
  for (draw in seq_len(draws)) {
    found <- suppressWarnings(sem(model, data[rows[draw, ], ], se = "none", test = "none", baseline = FALSE, h1 = FALSE))
    converged <- lavInspect(found, "converged")
    out[[length(out) + 1]] <- line(found, "default", draw, converged)
    if (converged) out[[length(out) + 1]] <- line(reach(model, data[rows[draw, ], ], full = FALSE), "polished", draw, TRUE)
  }
  write_csv(do.call(rbind, out), paste0("bootstrap_", name, "_estimates"), quote = FALSE)
}

refit("main", structure, mobi, 60)
refit("democracy", democracy, PoliticalDemocracy, 60)
refit("full", full, mobi, 50)
