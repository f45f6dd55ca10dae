"""TensorBoard's files, written without torch and TensorFlow."""
