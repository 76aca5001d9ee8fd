//! Tests of the project as a whole: its structure, documents, planted faults and fuzz targets.

mod defects;
mod documentation;
mod files;
mod fuzzing;
mod imports;
mod walls;
