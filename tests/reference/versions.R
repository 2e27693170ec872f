# What every script beside this one writes its tables with: the first line of a table names what made it, the table begins
# below.  source("tests/reference/versions.R"), from the root of the repository.
reference <- "tests/reference"
made_with <- c("lavaan", "psych", "semTools", "GPArotation")

# The script that is running.
script <- function() basename(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
# "# R 4.2.2, lavaan 0.6.14, ...; made by sem.R": every package above, as which of them a figure passed through is easily missed.
made_by <- function() paste0("# R ", getRversion(), ", ",
  paste(made_with, sapply(made_with, function(name) as.character(packageVersion(name))), collapse = ", "), "; made by ", script())

# write.csv below that line; `source` says where data come from that the script only passes on.
write_csv <- function(table, name, ..., source = "") {
  path <- file.path(reference, paste0(name, ".csv"))
  writeLines(paste0(made_by(), if (nzchar(source)) paste0("; data: ", source)), path)
  suppressWarnings(write.table(table, path, append = TRUE, sep = ",", ..., row.names = FALSE, qmethod = "double"))
}
# A table or data set beside the scripts, without its first line.
read_csv <- function(name) read.csv(file.path(reference, paste0(name, ".csv")), skip = 1)
