# Data sets that R packages bring and the scripts beside this one share: hs.csv, pd.csv and bfi.csv.
# Run from the root of the repository: Rscript tests/reference/data.R
source("tests/reference/versions.R")
write_csv(lavaan::HolzingerSwineford1939, "hs", source = "lavaan::HolzingerSwineford1939")
write_csv(lavaan::PoliticalDemocracy, "pd", source = "lavaan::PoliticalDemocracy")
write_csv(psych::bfi, "bfi", source = "psych::bfi")
