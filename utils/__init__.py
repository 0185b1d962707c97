"""What two or more of the notebooks share: loading, the techniques, their measures, drawing."""
