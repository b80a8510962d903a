"""Homeport inside the libraries that programs call each other with. Each needs its extra; none is imported unasked."""
