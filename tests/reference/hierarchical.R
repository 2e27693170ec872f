# What tests/test_reliability.py compares with: the omegas of two second-order constructs by lavaan and semTools.
# Run from the root of the repository: Rscript tests/reference/hierarchical.R
# Writes hierarchical.csv (set, n, omega_total, omega_hierarchical) beside itself.
source("tests/reference/lavaan.R")
suppressPackageStartupMessages(library(semTools))

omegas <- function(set, scales, data) {
  data <- na.omit(data[unlist(scales)])
  fit <- reach(paste0(loading_on(scales), "\nG =~ ", paste(names(scales), collapse = " + ")), data)
  total <- 1 - sum(diag(lavInspect(fit, "est")$theta)) / sum(fitted(fit)$cov)
  data.frame(set, n = nrow(data), omega_total = total, omega_hierarchical = as.numeric(compRelSEM(fit, obs.var = FALSE, higher = "G")["G"]))
}
hs <- omegas("hs", list(visual = paste0("x", 1:3), textual = paste0("x", 4:6), speed = paste0("x", 7:9)), HolzingerSwineford1939)
write_table(rbind(hs, omegas("vas", vas_scales[c("TS", "CV", "PC", "AS")], vas_answers())), "hierarchical")
