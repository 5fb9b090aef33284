"""What the API takes and gives. Inputs and outputs are apart, with every field named."""
